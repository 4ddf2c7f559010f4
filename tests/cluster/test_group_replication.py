"""What is so with MySQL Group Replication alone: test_cluster_faults.py breaks it as it does all engines."""

import threading

import pytest
from helpers import eventually, execute
from nodes import LONG_FORM
from test_cluster_faults import during  # noqa: F401 - a fixture

from core.db import drivers

pytestmark = pytest.mark.parametrize("cluster", ["group_replication"], indirect=True)
SOON = 30  # seconds; it is 6 where the machine is not busy, and without end by MySQL's own settings


def test_who_hands_over_before_the_primary_is_stopped_lets_requests_fail_for_3_seconds_at_most(during, scene):  # noqa: F811
    old, new = scene.writer(), scene.other()

    def hand_over():
        """As docs/cluster.md says."""
        execute(old.owner, "SELECT group_replication_set_as_primary(%s)", [new.uuid()], by_hand=False)
        assert scene.writer() is new
        old.end()

    during(hand_over)


def test_a_primary_that_is_cut_off_confirms_nothing_and_soon_says_so(cluster):
    old, name, said = cluster.writer(), "sold by who was cut off", []

    def write():
        try:
            execute(old.owner, "INSERT INTO products (name, price, is_active) VALUES (%s, 1, 0)", [name], by_hand=False)
            said.append("it is stored")
        except drivers.DatabaseError as error:
            said.append(error)

    old.isolate()
    try:
        (writing := threading.Thread(target=write)).start()
        assert eventually(lambda: cluster.writer() is not old)
        writing.join(SOON)
        assert said
        assert said != ["it is stored"]
    finally:
        cluster.heal()
        writing.join()

    assert cluster.agree()
    assert not execute(cluster.owner, "SELECT id FROM products WHERE name = %s", [name])


@pytest.mark.skipif(not LONG_FORM, reason="CLUSTER=long: MySQL tries for a minute to join")
def test_a_server_that_cannot_join_takes_no_writes(cluster, scene):
    lone = scene.other()
    lone.stop()
    lone.isolate()
    lone.start()
    try:
        assert eventually(lambda: "Timeout on wait for view" in lone.log.read_text(errors="replace"), 180)
        assert eventually(lambda: lone.members().get(lone.address, ("",))[0] in ("OFFLINE", "ERROR"), 180)

        with pytest.raises(drivers.DatabaseError) as refused:
            execute(lone.owner, "INSERT INTO products (name, price, is_active) VALUES ('alone', 1, 0)", by_hand=False)

        assert drivers.number(refused.value) == 1290  # read-only
    finally:
        lone.rejoin()
        lone.stop()
        cluster.heal()
