"""Programs of npm for tests of the API document: a folder of tests/ with its packages, in a place of its own."""

import os
import re
import shutil
import subprocess

import pytest
from helpers import command

from core.setup.system import ROOT, program

OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH")
MADE = ("node_modules", "generated", "built", "dist", "openapi.json", "openapi.d.ts", "api.ts")
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "DO_NOT_TRACK": "1"}


def run(folder, *words, **variables):
    """Run a program in a folder, with further variables of its environment; return the completed process (text)."""
    env = {**os.environ, **QUIET, **variables}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, env=env)


def installed(name, folder, oldest, source=ROOT / "tests"):
    """Copy tests/NAME, or NAME of another folder, with its packages and the API document; return the copy's folder.

    Skips where node (of this major version, or newer), npm or its registry is missing; in CI nothing is skipped.
    """
    if not program("node") or not program("npm"):
        pytest.skip("needs node and npm")
    version = run(ROOT, "node", "--version").stdout
    if int(re.match(r"v(\d+)", version)[1]) < oldest:
        pytest.skip(f"needs node {oldest} or newer, not {version}")
    shutil.copytree(source / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*MADE))
    fetched = run(folder, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    if fetched.returncode and OFFLINE.search(fetched.stderr) and os.environ.get("CI") != "true":
        pytest.skip("npm cannot reach its registry")
    assert fetched.returncode == 0, fetched.stderr
    (folder / "openapi.json").write_text(command("openapi").stdout, encoding="utf-8")
    return folder


def require_exact_versions(asked, locked):
    """Assert that a package.json asks for exact versions, and its lock has these, with hashes and without hosts."""
    packages = locked["packages"]
    versions = asked.get("dependencies", {}) | asked["devDependencies"]

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in versions} == versions
    assert all(
        "resolved" not in package and ("integrity" in package or package.get("inBundle"))
        for name, package in packages.items()
        if name
    )
