"""The rules for Prometheus and the dashboard for Grafana: they ask for what there is, and each alarm can be raised."""

import contextlib
import json
import re
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml
from helpers import NOWHERE, PASSWORD, as_url, eventually, free_port

from core.setup import system
from core.setup.system import ROOT

RULES, DASHBOARD = (ROOT / "deploy" / name for name in ("prometheus-rules.yml", "grafana-dashboard.json"))
ALERTS = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
BOARD = json.loads(DASHBOARD.read_text())
PANELS = {
    f"{panel['title']}, {target['refId']}": target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
    for panel in BOARD["panels"]
    for target in panel["targets"]
}
QUERIES = {**ALERTS, **PANELS}
OF_PROMETHEUS = {"up"}, {"job", "instance", "le"}  # the metric and the labels that it adds itself
NOTHING_YET = {"Refused or failed, of all requests, B", "Messages that wait, B"}  # no 500, no dead letter
WORDS = {"by", "or", "unless", "offset", "and", "on"}

needs_promtool = pytest.mark.skipif(not system.program("promtool"), reason="needs promtool (prometheus)")
needs_prometheus = pytest.mark.skipif(not system.program("prometheus"), reason="needs prometheus")


def asked_for(query):
    """Return the names of the metrics, and those of the labels, in a query."""
    labels = set(re.findall(r"(\w+) *(?:=~|!=|!~|=)", query)) | set(re.findall(r"{{ *(\w+)", query))
    for inner in re.findall(r"\bby \(([^)]*)\)", query):
        labels |= set(re.findall(r"\w+", inner))
    bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)|\[[^\]]*\]|\b\d+[smh]\b|\"[^\"]*\"", " ", query)
    names = set(re.findall(r"\b[a-z]\w*\b(?! *\()", bare)) - WORDS
    return names, labels


def families(text):
    """Return the names of what /metrics has, and the labels of each."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"([a-z]\w*)(?:\{(.*)\})? \S+$", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
        elif match := re.match(r"# TYPE (\w+) (?:counter|gauge)$", line):
            found.setdefault(match[1], set())
    return found


@contextlib.contextmanager
def prometheus(folder, *targets):
    """Run Prometheus with the rules on these targets, each second; give `ask(path, **parameters)`."""
    port, log = free_port(), folder / "prometheus.log"
    scrape = {"job_name": "bodega", "scrape_interval": "1s", "static_configs": [{"targets": targets}]}
    settings = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(RULES)], "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    words = [
        system.program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(words, stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True)

    def ask(path, **parameters):
        address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def scrapes():
        with contextlib.suppress(OSError):
            return [one["health"] for one in ask("targets")["activeTargets"]] == ["up"] * len(targets)
        return False

    try:
        assert eventually(scrapes, 30), log.read_text()
        yield ask
    finally:
        process.terminate()
        process.wait(20)


def use(real, sql, id):
    """Let all happen that is counted: an answer from memory, an order that is paid, a login that fails, a restart."""
    for path in (f"/api/products/{id}", "/api/products", "/api/nowhere"):
        for _ in range(3):
            real.request(path)
    line = {"product_id": id, "quantity": 1}
    assert real.request("/api/cart/items", "POST", line, Session_ID="visitor").status == 201
    body = {"expected_total": 9.99, "email": "ada@example.com"}
    key = {"Session_ID": "visitor", "Idempotency_Key": "one"}
    order = real.request("/api/orders", "POST", body, **key).json["data"]
    opened = {"Order_Token": order["access_token"], "Idempotency_Key": "two"}
    assert (
        real.request(f"/api/orders/{order['number']}/payments", "POST", {"provider": "dummy"}, **opened).status == 201
    )
    real.request("/api/users/login", "POST", {"username": "alice", "password": PASSWORD})
    real.process.send_signal(signal.SIGHUP)
    real.wait_for("All workers are replaced", 40)


@pytest.fixture
def watched(start, accounts, sql, make):
    """Where two real shops tell their metrics: one that has done what `use` does, and one without its database."""

    def begin(login, port, **settings):
        url = as_url(login)
        return start(
            "--workers", "2", "--threads", "4", DATABASE_URL=url, METRICS="on", METRICS_PORT=str(port), **settings
        )

    ports = free_port(), free_port()
    real = begin(accounts.application, ports[0], PAYMENT_PROVIDERS="manual,dummy", CHORES="on")
    use(real, sql, make.product("Lamp", stock=100, price="9.99"))
    assert begin(NOWHERE, ports[1]).request("/api/products").status == 503
    return [f"127.0.0.1:{port}" for port in ports]


@pytest.mark.slow
@needs_prometheus
def test_rules_and_dashboard_ask_for_metrics_and_labels_that_there_are_and_prometheus_answers(watched, tmp_path, make):
    known, added = OF_PROMETHEUS
    there = {name: set() for name in known}
    for target in watched:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            for name, labels in families(answer.read().decode()).items():
                there[name] = there.get(name, set()) | labels
    strange = {}
    for title, query in QUERIES.items():
        names, labels = asked_for(query)
        given = set().union(added, *(there.get(name, set()) for name in names))
        if not names or names - there.keys() or labels - given:
            strange[title] = names - there.keys(), labels - given
    assert not strange

    with prometheus(tmp_path, *watched) as ask:
        assert eventually(lambda: ask("query", query="count_over_time(up[1m])")["result"][0]["value"][1] >= "3")
        wrong = [rule for group in ask("rules")["groups"] for rule in group["rules"] if rule["health"] == "err"]
        empty = {title for title, query in PANELS.items() if not ask("query", query=query)["result"]}

    assert not wrong
    assert empty <= NOTHING_YET


def test_the_dashboard_has_what_grafana_needs_to_show_it():
    numbers = [panel["id"] for panel in BOARD["panels"]]
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in BOARD["panels"]]

    assert len(set(numbers)) == len(numbers) and len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in BOARD["panels"])
    assert {v["name"] for v in BOARD["templating"]["list"]} == {"datasource", "instance"}
    assert all(p["datasource"]["uid"] == "${datasource}" and p["title"] for p in BOARD["panels"])


# Each alarm, and what raises it: series of a sample a minute, for 100 minutes

HTTP = 'http_server_request_duration_seconds_count{instance="a",http_response_status_code="%s"}'
SLOW = 'http_server_request_duration_seconds_bucket{instance="a",http_request_method="GET",le="%s"}'
SOUND = {
    'up{job="bodega",instance="a"}': "1x100",
    'bodega_breaker_open{instance="a"}': "0x100",
    HTTP % 200: "0+6000x100",
    HTTP % 503: "0+60x100",
    SLOW % "0.5": "0+6000x100",
    SLOW % "2.5": "0+6000x100",
    SLOW % "+Inf": "0+6000x100",
    'bodega_requests_shed_total{instance="a"}': "0x100",
    'db_client_connection_count{instance="a",db_client_connection_state="used"}': "12x100",
    'db_client_connection_max{instance="a"}': "20x100",
    'process_open_fds{job="bodega",instance="a",role="worker",pid="1"}': "100x100",
    'process_max_fds{job="bodega",instance="a",role="worker",pid="1"}': "65536x100",
    'bodega_workers_replaced_total{instance="a",reason="died"}': "1x100",
    'bodega_workers_replaced_total{instance="a",reason="restart"}': "0+2x100",
    'bodega_outbox_age_seconds{instance="a",kind="mail"}': "30x100",
    'bodega_outbox_dead{instance="a",kind="mail"}': "7x100",
    'bodega_logins_refused_total{instance="a",reason="password"}': "0+6x100",
}
RAISED = {
    "BodegaDown": {'up{job="bodega",instance="a"}': "1x70 0x30"},
    "BodegaDatabaseAway": {'bodega_breaker_open{instance="a"}': "0x70 2x30"},
    "BodegaUnavailable": {HTTP % 503: "0+600x100"},
    "BodegaBug": {HTTP % 500: "_x93 1x7"},
    "BodegaSlow": {SLOW % "0.5": "0+5900x100"},
    "BodegaOverloaded": {'bodega_requests_shed_total{instance="a"}': "0+60x100"},
    "BodegaConnectionsUsedUp": {
        'db_client_connection_count{instance="a",db_client_connection_state="used"}': "12x70 19x30"
    },
    "BodegaFilesUsedUp": {'process_open_fds{job="bodega",instance="a",role="worker",pid="1"}': "60000x100"},
    "BodegaWorkersDie": {'bodega_workers_replaced_total{instance="a",reason="died"}': "1x90 5x10"},
    "BodegaOutboxLate": {'bodega_outbox_age_seconds{instance="a",kind="mail"}': "0+60x100"},
    "BodegaDeadLetters": {'bodega_outbox_dead{instance="a",kind="mail"}': "7x60 8x40"},
    "BodegaLoginsTried": {'bodega_logins_refused_total{instance="a",reason="password"}': "0+120x100"},
}


@needs_promtool
def test_each_alarm_is_raised_by_what_it_is_for_and_by_nothing_else(tmp_path):
    assert RAISED.keys() == ALERTS.keys()
    checks = []
    for alert, series in {None: {}, **RAISED}.items():
        values = [{"series": name, "values": text} for name, text in {**SOUND, **series}.items()]
        samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
        query = 'count by (alertname) (ALERTS{alertstate="firing"})'
        seen = {"expr": query, "eval_time": "95m", "exp_samples": samples}
        checks.append({"interval": "1m", "input_series": values, "promql_expr_test": [seen], "name": alert or "sound"})
    page = tmp_path / "checks.yml"
    page.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": checks}))

    done = subprocess.run(
        [system.program("promtool"), "test", "rules", str(page)], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_nothing_wrong_in_the_rules():
    done = subprocess.run(
        [system.program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(RULES)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
