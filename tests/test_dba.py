"""The walk of docs/dba.md, as it stands: every command is typed in a clone of the program whose shop runs."""

import re
import shutil
import subprocess

import pytest
from helpers import eventually, servers
from test_readme import NOT_COPIED, Reader

from core.setup.system import ROOT, program

PAGE = (ROOT / "docs" / "dba.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.slow


def commands(title, page=PAGE):
    """Return the indented lines that stand under a heading."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]
    return [line[4:] for line in section.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A DBA with a clone of the program, in which a shop runs whose log is in shop.log."""
    if not (program("curl") and program("mariadbd") and program("git")):
        pytest.skip("needs curl, git and mariadbd")
    home = tmp_path_factory.mktemp("dba") / "bodega"
    shutil.copytree(ROOT, home, ignore=NOT_COPIED)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@y.z", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=home, check=True)
    (home / ".env").write_text("\n".join(line for line in commands("The shop") if re.match(r"[A-Z_]+=", line)) + "\n")
    subprocess.run(commands("The shop")[0].split(), cwd=home, check=True)  # mkdir
    with servers(home.parent, home) as start:
        shop = start(CACHE_TTL="0", COUNT_CACHE_TTL="0")
        (home / "shop.log").symlink_to(shop._log)
        dba = Reader(home, shop)
        dba.shop = shop
        dba.types("\n".join(line for line in commands("The shop") if line.startswith("curl")))
        yield dba
    shutil.rmtree(home)


def types(reader, lines):
    """Type these commands; return (what it printed, its exit status) of each."""
    script = "\n".join(f"{line}\nprintf '\\n\\1%s\\1' $?" for line in lines)
    printed, _ = reader.types(f"exec 2>&1\n{script}\ntrue")
    parts = re.split(r"\n\x01(\d+)\x01", printed)
    return [(parts[2 * i], int(parts[2 * i + 1])) for i in range(len(lines))]


def test_the_hour_goes_as_the_page_says(reader):
    """One walk: each step begins with what the last one left."""
    top, slow, traced = (printed for printed, _ in types(reader, commands("Find it")))
    assert "products/search" in top
    assert "file=sql/products/" in slow
    assert "path=/api/products" in traced

    understood = types(reader, commands("Understand it"))
    assert [status for _, status in understood] == [0, 0, 0, 0]
    assert "total" in understood[1][0]
    assert "price >= 20" in understood[3][0]

    lines = commands("Change it")
    first, second = types(reader, lines[:4]), types(reader, lines[4:])
    assert [status for _, status in first] == [0, 0, 0, 1]
    assert ": all right." in first[2][0]
    assert "products/count" in first[3][0] and "total" in first[3][0]
    assert [status for _, status in second] == [0] * len(second)
    assert "all the same." in second[-1][0]

    live = types(reader, commands("Take it live, and back"))
    assert [status for _, status in live] == [0] * len(live)
    assert "0 changed files" in live[3][0]
    assert eventually(lambda: reader.shop.log.count("SIGHUP") >= 2, 30)

    own = types(reader, commands("Keep your own version"))
    statuses = [status for _, status in own]
    assert "in place of" in own[5][0]
    assert "made for an older" in own[8][0]
    assert statuses == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
