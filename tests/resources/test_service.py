"""Health and readiness, through the wired shop."""

from helpers import free_port

from core.database_url import DatabaseUrl


def test_health_does_not_touch_the_database(wired):
    client = wired(url=DatabaseUrl("nowhere", port=free_port()))

    assert client.get("/api/health").json["data"] == {"status": "alive"}
    assert client.get("/api/ready", status=503).json["error"]["code"] == "SERVICE_UNAVAILABLE"


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
