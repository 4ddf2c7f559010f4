"""What tests/load/scaling.py computes, against what can be counted; and that docs/scaling.md has its tables."""

import json
import math
import random

import pytest
import scaling
from mix import KEPT, MIX

from core.setup.system import ROOT

TOLD = json.loads(scaling.FOUND.read_text())
DOCUMENT = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def asked(rate, orders, products, ttl, seconds, seed):
    """Return the share that one worker answers from memory: requests and orders come at random, answers are kept."""
    dice = random.Random(seed)
    popularity = [1 / place for place in range(1, products + 1)]
    events = [("order", dice.uniform(0, seconds)) for _ in range(round(orders * seconds))]
    chosen = dice.choices(range(products), popularity, k=round(rate * seconds))
    events += [(product, dice.uniform(0, seconds)) for product in chosen]
    made, remembered, void = {}, 0, -math.inf
    for what, now in sorted(events, key=lambda event: event[1]):
        if what == "order":
            void = now
            continue
        if void < made.get(what, -math.inf) and now - made[what] < ttl:
            remembered += 1
        else:
            made[what] = now
    return remembered / len(chosen)


@pytest.mark.parametrize(("rate", "orders"), [(200, 0), (200, 0.5), (200, 5), (20, 0.1)])
def test_as_many_answers_come_from_memory_as_where_each_request_is_followed(rate, orders):
    followed = asked(rate, orders, products=1000, ttl=5, seconds=500, seed=17)

    assert scaling.hits("product", 1000, rate, orders, ttl=5) == pytest.approx(followed, abs=0.02)


def test_the_shares_of_the_mix_are_whole():
    assert sum(MIX.values()) == 1000
    assert sum(scaling.shares(1000, rate=5000, workers=10, orders=5).values()) == pytest.approx(1)


def test_what_no_answer_in_memory_changes_grows_with_the_rate():
    once, tenfold = scaling.needs(TOLD, 50_000), scaling.needs(TOLD, 500_000)

    for name in ("primary", "writes", "orders", "carts", "kept", "log"):
        assert tenfold[name] == pytest.approx(10 * once[name], rel=0.01), name


def test_a_dearer_request_takes_more_of_what_pays_for_it_and_of_nothing_else():
    dearer = json.loads(json.dumps(TOLD))
    dearer["kinds"]["order"]["database"] += 1000  # µs

    before, after = scaling.needs(TOLD, 100_000), scaling.needs(dearer, 100_000)

    assert after["primary"] - before["primary"] == pytest.approx(100_000 * MIX["order"] / 1000 * 0.001 / scaling.BUSY)
    assert {name for name in before if after[name] != before[name]} == {"primary", "cores"}


def test_there_are_replicas_where_one_server_does_not_do_all_of_it():
    few, many = scaling.needs(TOLD, 1000), scaling.needs(TOLD, 1_000_000)

    assert (few["shards"], few["replicas"]) == (1, 0) and few["read"] + few["primary"] < scaling.SERVER
    here = many["primary"] + many["read"] * (1 - many["elsewhere"])
    assert many["shards"] * scaling.SERVER >= here > scaling.SERVER
    room = many["shards"] * many["replicas"] * (scaling.SERVER - many["applied"])
    assert room >= many["read"] * many["elsewhere"]


def test_all_kinds_are_measured_and_a_core_costs_what_is_asked():
    assert set(MIX) | set(scaling.REMEMBERED) <= set(TOLD["kinds"]) and set(KEPT) <= set(MIX)
    assert "| cores, in euros a month | 0 |" in scaling.table(TOLD, [1000], core=0)


@pytest.mark.parametrize("made", [scaling.costs_table, scaling.sizes_table, scaling.compared])
def test_the_document_has_the_figures_that_were_measured(made):
    assert made(TOLD) in DOCUMENT


def test_the_document_has_the_table_that_is_computed():
    assert scaling.table(TOLD, scaling.RATES, scaling.CORE) in DOCUMENT
