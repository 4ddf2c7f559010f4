"""Makes the packages importable on a machine that has nothing but Python (standard library only).

Every Python 3.6+ can read this file, also one that is too old for the shop: the file must be able to say so.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys

from core.cli import CommandError, tell
from core.setup import system
from core.setup.system import ROOT, THIS_PYTHON

OLDEST = (3, 11)
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed.sha256"  # what pip has installed: for which Python, the hashes of its lists; written last

NEEDED = ["bottle", "waitress", "pymysql", "cryptography", "dbutils", "bcrypt", "cerberus", "dotenv", "orjson"]
NEEDED += ["cachetools", "tqdm", "email_validator", "limits", "zxcvbn"]
NEEDED_BY_TESTS = ["pytest", "webtest", "pytest_cov"]

FULL = "The disk is full. Make room, then start again."
NOT_WRITABLE = "{} cannot be written to. Correct its owner or its permissions, then start again."
OFFLINE = "The package index could not be reached. Connect to the network (or set a proxy), then start again."
HINTS = (  # what pip says → what to do
    ("No space left on device", FULL),
    (
        "DO NOT MATCH THE HASHES",
        "A package is not the one that requirements.txt pins. Do not use it; try another network.",
    ),
    ("Permission denied", NOT_WRITABLE.format("This directory")),
    ("onnection", OFFLINE),
    ("resol", OFFLINE),
    ("Could not find a version", "The package index could not be reached, or has no build for this Python."),
)


def prepare(testing: bool = False, embedded: bool = False) -> None:
    """Make sure that the packages are importable; where they are not, make .venv and start this program again in it.

    `testing`: the packages of the tests too. `embedded`: MariaDB too, if Debian packages have to be installed anyway;
    so one sentence names everything that is missing. Raises CommandError with what to do.
    """
    if sys.version_info < OLDEST:
        raise CommandError(
            f"The shop needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is "
            f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}). Install a newer one and name it, "
            "for example:\n\n    python3.12 server.py\n"
        )
    inside = os.path.realpath(sys.prefix) == os.path.realpath(str(VENV))
    if inside and _installed(testing):
        return
    if not inside and all(map(importlib.util.find_spec, NEEDED + (NEEDED_BY_TESTS if testing else []))):
        return
    lock = os.open(str(ROOT), os.O_RDONLY)  # a directory can be locked too: two starts at once make one .venv
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(testing, embedded)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CommandError(FULL) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise CommandError(NOT_WRITABLE.format(ROOT)) from None
        raise
    finally:
        os.close(lock)
    os.execv(str(PYTHON), [str(PYTHON), *sys.argv])  # noqa: S606


def _lists(testing: bool) -> list:
    return [ROOT / "requirements.txt"] + ([ROOT / "tests" / "requirements.txt"] if testing else [])


def _marks(testing: bool) -> list:
    return [THIS_PYTHON] + [hashlib.sha256(path.read_bytes()).hexdigest() for path in _lists(testing)]


def _recorded() -> set:
    return set(INSTALLED.read_text().split()) if PYTHON.exists() and INSTALLED.exists() else set()


def _installed(testing: bool) -> bool:
    return set(_marks(testing)) <= _recorded()


def _make(testing: bool, embedded: bool) -> None:
    if _installed(testing):
        return
    if importlib.util.find_spec("ensurepip") is None:
        _system_packages(embedded)
    if THIS_PYTHON not in _recorded():
        if VENV.exists():
            shutil.rmtree(str(VENV))  # an interrupted start left half of it, or the system has a new Python
        tell(f"Making .venv for this Python ({sys.version_info[0]}.{sys.version_info[1]}).")
        python = getattr(sys, "_base_executable", None) or sys.executable  # not the one that was just removed
        _run([python, "-m", "venv", str(VENV)], "The virtual environment .venv could not be made")
    lists = _lists(testing)
    tell(f"Installing {' and '.join(str(p.relative_to(ROOT)) for p in lists)} into .venv.")
    install(PYTHON, lists, "The packages could not be installed")
    INSTALLED.write_text("\n".join(_marks(testing)) + "\n")


def install(python: "os.PathLike | str", lists: list, failure: str) -> None:
    """Install the packages of these files by this Python's pip. Raises CommandError: `failure`, pip's words, a hint."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--disable-pip-version-check"]
    pip += ["--retries", "2", "--timeout", "20"]
    for path in lists:
        pip += ["-r", str(path)]
    _run(pip, failure)


def _system_packages(embedded: bool) -> None:
    if not system.is_debian():
        raise CommandError(
            "This Python has no venv module. Install it with your system's package manager, then start again."
        )
    packages = [system.venv_package()]
    if embedded and not system.program("mariadbd"):
        packages += system.mariadb_packages()
    also = " and MariaDB is missing" if len(packages) > 1 else ""
    system.install(packages, "This Python cannot make virtual environments" + also)
    importlib.invalidate_caches()


def _run(command: list, failure: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        output = done.stdout.decode(errors="replace").strip()
        hint = next((hint for word, hint in HINTS if word in output), "Correct that, then start again.")
        raise CommandError(f"{failure}:\n\n{system.last_lines(output, 6)}\n\n{hint}")
