"""Health and readiness, through the wired shop."""

import inspect

from helpers import free_port

from core.app import app
from core.database_url import DatabaseUrl
from core.identity.auth import PUBLIC


def test_health_does_not_touch_the_database(wired):
    client = wired(url=DatabaseUrl("nowhere", port=free_port()))

    assert client.get("/api/health").json["data"] == {"status": "alive"}
    assert client.get("/api/ready", status=503).json["error"]["code"] == "SERVICE_UNAVAILABLE"


def test_what_the_thread_that_reads_answers_waits_for_nothing(client):
    """It would hold up all others: no database, no account, no limit, no body."""
    routes = [route for route in app.routes if route.config.get("at_once")]

    assert [(route.method, route.rule) for route in routes] == [("GET", "/api/health")]
    for route in routes:
        assert route.config["auth"] == PUBLIC
        assert not inspect.signature(route.callback).parameters
        assert not any(route.config.get(name) for name in ("limit", "budget", "consumes", "body"))


def test_ready_when_the_schema_is_current(client):
    assert client.get("/api/ready").json["data"] == {"status": "ready"}


def test_ready_names_what_is_pending(client, sql):
    row = sql("SELECT * FROM schema_migrations WHERE version = 9")[0]
    sql("DELETE FROM schema_migrations WHERE version = 9")
    try:
        answer = client.get("/api/ready")
    finally:
        sql(
            "INSERT INTO schema_migrations (version, name, checksum, finished_at) VALUES (9, %s, %s, NOW())",
            [row["name"], row["checksum"]],
        )

    assert answer.status_int == 503
    assert answer.json["error"]["details"] == {"pending": ["0009_audit"]}
    assert answer.headers["Retry-After"] == "10"
