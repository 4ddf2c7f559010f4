"""Fixtures of tests that measure: what they print, and in which form they run: FAULTS=long, CLUSTER=long, or short."""

import json
import os
import pathlib

import pytest


def in_long_form(item):
    """Whether a test, by its folder, runs in the long form."""
    return os.environ.get("CLUSTER" if item.get_closest_marker("cluster") else "FAULTS") == "long"


@pytest.fixture
def figure(request):
    """`figure(name, value, unit)`: print what was measured, and write it to the file FIGURES."""
    print(f"\n{request.node.name}, while the load of this machine was {os.getloadavg()[0]:.0f}:")

    def note(name, value, unit=""):
        value = round(value, 4) if isinstance(value, float) else value
        print(f"    {name}: {value} {unit}".rstrip(), flush=True)
        if place := os.environ.get("FIGURES"):
            form = {"test": request.node.nodeid, "long": in_long_form(request.node)}
            with pathlib.Path(place).open("a") as file:
                file.write(json.dumps({**form, "name": name, "value": value, "unit": unit}) + "\n")

    return note


@pytest.fixture
def either(request):
    """`either(short, long)`: the one that fits the form of this run."""
    return lambda short, long: long if in_long_form(request.node) else short
