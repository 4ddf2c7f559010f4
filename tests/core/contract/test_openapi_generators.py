"""What reads the API document: Redocly's and Spectral's rules, and clients by orval and openapi-generator, at work."""

import importlib.util
import json
import os
import pathlib

import pytest
from npm import installed, require_exact_versions, run

from core.setup.system import ROOT, program

FOLDER = ROOT / "tests" / "generators"
OLDEST = 20  # the node that Redocly and orval need
SPECTRAL = ("--ruleset", "spectral.yaml", "--fail-severity", "hint")
ALICE = {"username": "alice", "email": "alice@example.com", "password": "Blue-Door-42"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The programs in a folder of their own, with their packages and the document."""
    return installed("generators", tmp_path_factory.mktemp("generators"), OLDEST)


@pytest.fixture(scope="module")
def jar():
    """The path of openapi-generator, which comes in a package of Python."""
    found = importlib.util.find_spec("openapi_generator_cli")
    if not found or not program("java"):
        assert os.environ.get("CI") != "true"
        pytest.skip("needs java, and the package of tests/openapi_generator.txt")
    return pathlib.Path(found.origin).with_name("openapi-generator.jar")


def compiled(folder, *files):
    """Compile programs strictly; return what the compiler says."""
    (folder / "one.json").write_text(json.dumps({"extends": "./tsconfig.json", "files": files}), encoding="utf-8")
    return run(folder, "npx", "tsc", "--pretty", "false", "--project", "one.json").stdout


def require_a_visit(folder, name, served, make):
    """Assert that a compiled program shops and logs in at a running shop."""
    make.product("Desk Lamp", price="19.90", stock=5)
    served.request("/api/users/register", "POST", ALICE)

    visit = run(folder, "node", f"built/{name}.js", served.url, ALICE["username"], ALICE["password"])

    assert visit.stdout.splitlines() == [
        "Desk Lamp 19.90",
        "added: 2",
        "available: 3",
        "left in the cart: 0",
        "ordered: 19.90 unpaid",
        "paid: 19.90 captured",
        "my orders: 0",
        "alice: 1 ended",
        "my orders: 0",
        "alice: 1 ended",
    ], visit.stdout + visit.stderr


@pytest.mark.slow
def test_redocly_finds_nothing_by_its_recommended_rules(project):
    found = run(project, "npx", "redocly", "lint", "openapi.json", "--config", "redocly.yaml", "--format", "json")

    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout[found.stdout.index("{") :])["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@pytest.mark.slow
def test_spectral_finds_nothing_by_its_rules_for_openapi(project):
    found = run(project, "npx", "spectral", "lint", "openapi.json", *SPECTRAL)

    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_the_linters_find_what_is_wrong(project):
    document = json.loads((project / "openapi.json").read_text(encoding="utf-8"))
    del document["paths"]["/api/products"]["get"]["description"]
    del document["paths"]["/api/products"]["get"]["security"]
    (project / "wrong.json").write_text(json.dumps(document), encoding="utf-8")

    redocly = run(project, "npx", "redocly", "lint", "wrong.json", "--config", "redocly.yaml")
    spectral = run(project, "npx", "spectral", "lint", "wrong.json", *SPECTRAL)

    assert "security-defined" in redocly.stdout + redocly.stderr and redocly.returncode
    assert "operation-description" in spectral.stdout and spectral.returncode


@pytest.mark.slow
def test_orvals_client_compiles_strictly_and_shops(project, served, make):
    made = run(project, "npx", "orval", "--config", "orval.config.mjs")
    assert made.returncode == 0, made.stdout + made.stderr

    assert compiled(project, "orval.ts") == ""

    require_a_visit(project, "orval", served, make)


@pytest.mark.slow
def test_openapi_generators_client_compiles_strictly_and_shops(project, jar, served, make):
    options = ("-g", "typescript-fetch", "-o", "generated/openapi-generator", "-p", "importFileExtension=.js")
    made = run(project, "java", "-jar", str(jar), "generate", "-i", "openapi.json", *options)
    assert made.returncode == 0, made.stdout + made.stderr

    assert compiled(project, "openapi-generator.ts") == ""

    require_a_visit(project, "openapi-generator", served, make)


def test_the_generators_are_locked_to_exact_versions_of_no_host():
    asked, locked = (json.loads((FOLDER / name).read_text("utf-8")) for name in ("package.json", "package-lock.json"))

    require_exact_versions(asked, locked)
