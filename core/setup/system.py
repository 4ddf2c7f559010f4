"""The programs of this machine, and how to install missing ones (standard library only, any Python 3.6+)."""

import os
import pathlib
import shutil
import subprocess
import sys

from core.cli import CommandError, tell

ROOT = pathlib.Path(__file__).resolve().parents[2]
THIS_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

PLACES = (  # where MariaDB's programs may be outside PATH: Debian, source builds, Fedora, Homebrew
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/mariadb/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
)

BY_HAND = (  # package manager → the command to type
    ("brew", "brew install mariadb"),
    ("dnf", "sudo dnf install -y mariadb-server"),
    ("zypper", "sudo zypper install -y mariadb"),
    ("pacman", "sudo pacman -S --noconfirm mariadb"),
    ("apk", "sudo apk add mariadb mariadb-client"),
)


def pages(root: pathlib.Path = ROOT) -> list:
    """Return the paths of the program's Python files."""
    folders = ("core", "commands", "resources")
    return [*root.glob("server.py"), *(path for folder in folders for path in root.glob(folder + "/**/*.py"))]


def program(*names: str) -> "str | None":
    """Return the path of the first of these programs that this machine has, or None."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
        if found:
            return found
    return None


def is_debian() -> bool:
    """Whether packages come from apt here (Debian, Ubuntu and their derivatives)."""
    return shutil.which("apt-get") is not None


def venv_package() -> str:
    """Return the apt package that this Python needs to make virtual environments."""
    is_systems = sys.executable in ("/usr/bin/python3", "/usr/bin/" + THIS_PYTHON)
    return "python3-venv" if is_systems else THIS_PYTHON + "-venv"


def mariadb_packages() -> list:
    """Return the apt packages of the database: the core ones, which start no service."""
    known = subprocess.run(
        ["apt-cache", "pkgnames", "mariadb-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode()
    names = sorted(known.split(), reverse=True)
    # Ubuntu 22.04 has the version in the name: mariadb-server-core-10.6.
    return [
        next((n for n in names if n.startswith(part + "-1")), part) if part not in names else part
        for part in ("mariadb-server-core", "mariadb-client-core")
    ]


def install(packages: list, why: str) -> None:
    """Install Debian packages as root; otherwise raise CommandError with the one command to type.

    `why` begins the sentence, for example "MariaDB is missing".
    """
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        typed = "sudo apt-get update && sudo " + " ".join(command)
        raise CommandError(f"{why}. Type this, then start again:\n\n    {typed}\n")
    tell(f"{why}; installing {' '.join(packages)} with apt-get.")
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    log = b""
    for step in (["apt-get", "update"], command):
        done = subprocess.run(step, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        log += done.stdout
    if done.returncode:
        raise CommandError(
            f"apt-get could not install {' '.join(packages)}:\n\n{last_lines(log.decode(errors='replace'), 8)}\n\n"
            "Correct that (is there a network? a full disk?), then start again."
        )


def last_lines(output: str, count: int) -> str:
    """Return the last lines of a program's output, indented."""
    return "\n".join("    " + line for line in output.strip().splitlines()[-count:])


def install_mariadb() -> None:
    """Install MariaDB as root on Debian; otherwise raise CommandError with the one command to type."""
    if is_debian():
        if os.geteuid() == 0:  # the names of the packages come from apt's lists
            update = ["apt-get", "-qq", "update"]
            subprocess.run(update, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        install(mariadb_packages(), "MariaDB is missing")
        return
    typed = next((line for manager, line in BY_HAND if shutil.which(manager)), None)
    raise CommandError(
        "MariaDB is missing. Install its server with your system's package manager"
        + (":\n\n    " + typed + "\n\n" if typed else ", ")
        + "or set DATABASE_URL to a MySQL 8+ or MariaDB 10.6+ that runs elsewhere; then start again."
    )
