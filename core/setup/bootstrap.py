"""From a machine with nothing but Python to one that can run the shop (standard library only).

Every Python 3 can read this page, also one that is too old for the shop: it must be able to say so.
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
from core.setup.system import ROOT

OLDEST = (3, 11)
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed.sha256"  # what pip has installed: for which Python, the hashes of its lists; written last
THIS = f"python{sys.version_info[0]}.{sys.version_info[1]}"

NEEDED = (
    "bottle",
    "waitress",
    "pymysql",
    "cryptography",
    "dbutils",
    "bcrypt",
    "cerberus",
    "dotenv",
    "orjson",
    "cachetools",
    "tqdm",
    "email_validator",
    "limits",
    "zxcvbn",
)
NEEDED_BY_TESTS = ("pytest", "webtest", "pytest_cov")

HINTS = (  # what pip says → what to do
    ("No space left on device", "The disk is full. Make room, then start again."),
    (
        "DO NOT MATCH THE HASHES",
        "A package is not the one that requirements.txt pins. Do not use it; try another network.",
    ),
    ("Permission denied", "This directory cannot be written to. Mend its owner or its rights, then start again."),
    ("onnection", "The package index could not be reached. Connect to the network (or set a proxy), then start again."),
    ("resol", "The package index could not be reached. Connect to the network (or set a proxy), then start again."),
    ("Could not find a version", "The package index could not be reached, or has no build for this Python."),
)


def prepare(testing=False, embedded=False):
    """Make sure that the packages are importable: at once, or in .venv by starting this program anew in it.

    `testing` asks for the packages of the tests too, `embedded` for MariaDB along the way, so that whatever
    is missing is named in one sentence instead of two. Raises CommandError with what to do.
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
    if not inside and all(map(importlib.util.find_spec, NEEDED + (NEEDED_BY_TESTS if testing else ()))):
        return
    door = os.open(str(ROOT), os.O_RDONLY)  # a directory can be locked too: two starts at once make one .venv
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        _make(testing, embedded)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CommandError("The disk is full. Make room, then start again.") from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise CommandError(
                f"{ROOT} cannot be written to. Mend its owner or its rights, then start again."
            ) from None
        raise
    finally:
        os.close(door)
    os.execv(str(PYTHON), [str(PYTHON), *sys.argv])  # noqa: S606


def _lists(testing):
    return [ROOT / "requirements.txt"] + ([ROOT / "tests" / "requirements.txt"] if testing else [])


def _marks(testing):
    return [THIS] + [hashlib.sha256(path.read_bytes()).hexdigest() for path in _lists(testing)]


def _installed(testing):
    if not PYTHON.exists() or not INSTALLED.exists():
        return False
    return set(_marks(testing)) <= set(INSTALLED.read_text().split())


def _make(testing, embedded):
    if _installed(testing):
        return
    if importlib.util.find_spec("ensurepip") is None:
        _system_packages(embedded)
    if not PYTHON.exists() or not INSTALLED.exists() or THIS not in INSTALLED.read_text().split():
        if VENV.exists():
            shutil.rmtree(str(VENV))  # a start that was cut short left half of it, or the system has a new Python
        tell(f"Making .venv for this Python ({sys.version_info[0]}.{sys.version_info[1]}).")
        python = getattr(sys, "_base_executable", None) or sys.executable  # not the one that was just removed
        _run([python, "-m", "venv", str(VENV)], "The virtual environment .venv could not be made")
    lists = _lists(testing)
    tell(f"Installing {' and '.join(str(p.relative_to(ROOT)) for p in lists)} into .venv.")
    install(PYTHON, lists, "The packages could not be installed")
    INSTALLED.write_text("\n".join(_marks(testing)) + "\n")


def install(python, lists, failure):
    """Let this Python's pip install what these files list; where it cannot, raise CommandError: `failure`, …"""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--disable-pip-version-check"]
    pip += ["--retries", "2", "--timeout", "20"]
    for path in lists:
        pip += ["-r", str(path)]
    _run(pip, failure)


def _system_packages(embedded):
    if not system.is_debian():
        raise CommandError(
            "This Python has no venv module. Install it with your system's package manager, then start again."
        )
    wanted = [system.venv_package()]
    if embedded and not system.program("mariadbd"):
        wanted += system.mariadb_packages()
    system.install(
        wanted, "This Python cannot make virtual environments" + (" and MariaDB is missing" * (len(wanted) > 1))
    )
    importlib.invalidate_caches()


def _run(command, failure):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        hint = next((hint for word, hint in HINTS if word in said), "Mend that, then start again.")
        last = "\n".join("    " + line for line in said.splitlines()[-6:])
        raise CommandError(f"{failure}:\n\n{last}\n\n{hint}")
