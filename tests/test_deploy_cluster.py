"""The files of deploy/cluster/: what they share with those for one host, and that systemd understands them."""

import difflib
import shutil
import sys

import pytest
from test_deploy import SOCKET, UNIT, analyze, needs_systemd

from core.setup.system import ROOT

CLUSTER = ROOT / "deploy" / "cluster"
OTHERWISE = """
timeout connect 1s
timeout check 2s
default-server check inter 500ms fall 3 rise 1
server one 10.0.0.11:8080
server two 10.0.0.12:8080
default-server check inter 500ms fall 3 rise 1
server one 10.0.0.11:8080
server two 10.0.0.12:8080
"""
MARIADB = "[Unit]\nDescription=MariaDB\n[Service]\nType=notify\nExecStart=/bin/true\n"


def test_haproxy_before_several_hosts_differs_in_the_hosts_and_in_how_soon_one_is_given_up():
    one, several = (
        (folder / "haproxy.cfg").read_text().partition("global\n")[2] for folder in (ROOT / "deploy", CLUSTER)
    )

    added = [line[2:].strip() for line in difflib.ndiff(one.splitlines(), several.splitlines()) if line[0] == "+"]

    assert added == OTHERWISE.split("\n")[1:-1]


@needs_systemd
@pytest.mark.parametrize("unit", ["bodega.socket", "mariadb.service"])
def test_systemd_understands_the_further_settings_of_a_unit(tmp_path, unit):
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace("/srv/bodega/.venv/bin/python", sys.executable))
    shutil.copy(SOCKET, tmp_path)
    (tmp_path / "mariadb.service").write_text(MARIADB)
    shutil.copytree(CLUSTER / f"{unit}.d", tmp_path / f"{unit}.d")

    assert analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit)) == (0, "")

    name = "ListenStream" if unit == "bodega.socket" else "RestartSec"
    wrong = tmp_path / f"{unit}.d" / "cluster.conf"
    wrong.write_text(wrong.read_text().replace(f"{name}=", f"{name}=?"))
    assert analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit))[1] != ""
