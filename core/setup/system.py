"""What this machine has, and how to get what it has not (standard library only, any Python 3)."""

import os
import pathlib
import shutil
import subprocess
import sys

from core.cli import CommandError, tell

ROOT = pathlib.Path(__file__).resolve().parents[2]

PLACES = (  # where MariaDB's programs live when PATH does not say: Debian, source builds, Fedora, Homebrew
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

BY_HAND = (  # package manager → the command to type where we may not type it ourselves
    ("brew", "brew install mariadb"),
    ("dnf", "sudo dnf install -y mariadb-server"),
    ("zypper", "sudo zypper install -y mariadb"),
    ("pacman", "sudo pacman -S --noconfirm mariadb"),
    ("apk", "sudo apk add mariadb mariadb-client"),
)


def pages(root=ROOT):
    """Return the paths of the program's Python files."""
    return [
        *root.glob("server.py"),
        *(path for wing in ("core", "commands", "resources") for path in root.glob(wing + "/**/*.py")),
    ]


def program(*names):
    """Return the path of the first of these programs that this machine has, or None."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
        if found:
            return found
    return None


def is_debian():
    """Whether packages come from apt here (Debian, Ubuntu and their kin)."""
    return shutil.which("apt-get") is not None


def venv_package():
    """Return the apt package that this Python needs to make virtual environments."""
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return "python3-venv" if sys.executable in ("/usr/bin/python3", "/usr/bin/" + own) else own + "-venv"


def mariadb_packages():
    """Return the apt packages that hold the database: the core ones, which start no service."""
    known = subprocess.run(
        ["apt-cache", "pkgnames", "mariadb-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode()
    names = sorted(known.split(), reverse=True)
    # Ubuntu 22.04 has the version in the name: mariadb-server-core-10.6.
    return [
        next((n for n in names if n.startswith(part + "-1")), part) if part not in names else part
        for part in ("mariadb-server-core", "mariadb-client-core")
    ]


def install(packages, why):
    """Install Debian packages where we may (as root), else stop with the one command to type.

    `why` is the beginning of the sentence, for example "MariaDB is missing".
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
        last = "\n".join("    " + line for line in log.decode(errors="replace").strip().splitlines()[-8:])
        raise CommandError(
            f"apt-get could not install {' '.join(packages)}:\n\n{last}\n\n"
            "Mend that (is there a network? a full disk?), then start again."
        )


def install_mariadb():
    """Install MariaDB where we may, else stop with the one command to type."""
    if is_debian():
        if os.geteuid() == 0:
            subprocess.run(
                ["apt-get", "-qq", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
        install(mariadb_packages(), "MariaDB is missing")
        return
    typed = next((line for manager, line in BY_HAND if shutil.which(manager)), None)
    raise CommandError(
        "MariaDB is missing. Install its server with your system's package manager"
        + (":\n\n    " + typed + "\n\n" if typed else ", ")
        + "or set DATABASE_URL to a MySQL 8+ or MariaDB 10.6+ that runs elsewhere; then start again."
    )
