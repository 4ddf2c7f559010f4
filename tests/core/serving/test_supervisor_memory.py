"""What forked processes share stays shared, and a rolling restart leaves nothing behind."""

import re
import signal
import subprocess
import sys

import pytest
from helpers import as_url, eventually, servers

from core.setup.system import ROOT

FORKED = """
import gc, os, pathlib, re
from core.serving import supervisor

def own():
    return int(re.search(r"Private_Dirty: +(\\d+)", pathlib.Path("/proc/self/smaps_rollup").read_text())[1])

objects = [[number] for number in range(200_000)]
{prepare}
if not os.fork():
    before = own()
    gc.collect()
    print(own() - before, flush=True)
    os._exit(0)
os.wait()
"""
TELLING = """

import gc, os, sys
os.register_at_fork(after_in_child=lambda: print(f"forked with {gc.get_freeze_count()}", file=sys.stderr, flush=True))
"""


@pytest.mark.parametrize(("prepare", "copies"), [("supervisor._freeze()", False), ("", True)])
def test_a_worker_that_looks_for_garbage_takes_no_copy_of_what_it_shares(prepare, copies):
    """Without the avoidance it takes 10 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED.format(prepare=prepare)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert (int(done.stdout) > 5000) is copies, done.stdout  # KiB


def test_workers_and_their_successors_share_all_that_was_wired_and_former_wirings_are_gone(
    tmp_path, program_copy, accounts, sql
):
    page = program_copy / "core" / "app.py"
    page.write_text(page.read_text() + TELLING)
    with servers(tmp_path, program_copy) as start:
        real = start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application))
        assert eventually(lambda: len(frozen(real)) == 2)
        for times in range(1, 4):
            real.process.send_signal(signal.SIGHUP)
            assert eventually(lambda times=times: real.log.count("All workers are replaced.") == times, 40), real.log

        first, *_, last = frozen(real)

    assert len(frozen(real)) == 8
    assert first > 30_000
    assert last < first * 1.1


def frozen(real):
    """Return how many objects no collector looks at, for each process that was forked."""
    return [int(count) for count in re.findall(r"forked with (\d+)", real.log)]
