"""Run the tests, on a private MariaDB of their own, or on TEST_DATABASE_URL (an empty schema of another server)."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import sysconfig
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.config import Config
from core.setup import bootstrap, system
from core.setup.system import ROOT

HELP = "run the tests; further arguments go to pytest"
FURTHER = {  # programs that some tests need (one of each line is enough): their Debian package
    ("redis-server", "redis-check-rdb"): "redis-tools",
    ("chromium", "google-chrome"): "chromium",
    ("chromedriver",): "chromium-driver",
    ("node",): "nodejs",
    ("npm",): "npm",
    ("java",): "default-jre-headless",
    ("nginx",): "nginx",
    ("haproxy",): "haproxy",
    ("promtool",): "prometheus",
    ("systemd-analyze",): "systemd",
    ("wrk",): "wrk",
    ("mariadb-binlog", "mysqlbinlog"): "mariadb-client",
    ("zsh",): "zsh",
    ("wsrep_sst_rsync",): "mariadb-server",  # with Galera and rsync
}
COMPILING = {
    ("gcc", "cc"): "gcc",
    ("pkg-config",): "pkg-config",
    ("mariadb_config",): "libmariadb-dev",
}  # what mysqlclient needs
COVERAGE = ("--cov=core", "--cov=resources", "--cov-report=term:skip-covered", "--cov-fail-under=90")


def arguments(parser: ArgumentParser) -> None:
    """Take all arguments for pytest."""
    parser.add_argument("pytest", nargs="*", metavar="…", help="arguments for pytest, for example -k cart")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Run pytest in a process of its own; return its exit status."""
    if not os.environ.get("TEST_DATABASE_URL") and not system.program("mariadbd"):
        system.install_mariadb()
    if os.environ.get("CI") == "true" and system.is_debian():  # no test is skipped there
        for programs, package in FURTHER.items():
            if not system.program(*programs):
                system.install([package], f"The tests need {package}")
        if not importlib.util.find_spec("MySQLdb"):
            _compile_mysqlclient()
        if not importlib.util.find_spec("openapi_generator_cli"):  # 30 MB, for one test
            bootstrap.install(
                sys.executable, [ROOT / "tests" / "openapi_generator.txt"], "openapi-generator could not be installed"
            )
    extra = options.pytest or [*COVERAGE, *_processes()]  # some of the tests say nothing about coverage
    return subprocess.run([sys.executable, "-m", "pytest", *extra], cwd=ROOT, check=False).returncode


def _processes() -> list[str]:
    """Return pytest's options for several processes, each with a MariaDB of its own: files in the order of conftest.py.

    One more than there are processors, as many tests wait; not many more, as many start servers that want the
    processors, too. TEST_DATABASE_URL is one schema, for one process.
    """
    processors = os.cpu_count() or 1
    alone = os.environ.get("TEST_DATABASE_URL") or processors < 2
    return [] if alone else [f"--numprocesses={min(processors + 1, 4)}", "--dist=loadfile", "--no-loadscope-reorder"]


def _compile_mysqlclient() -> None:
    """Install the optional driver; pip compiles it."""
    missing = [package for programs, package in COMPILING.items() if not system.program(*programs)]
    if not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append("python3-dev")
    if missing:
        system.install(missing, "The tests need mysqlclient, and pip compiles it")
    bootstrap.install(sys.executable, [ROOT / "tests" / "mysqlclient.txt"], "mysqlclient could not be installed")
