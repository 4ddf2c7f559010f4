"""`server.py routes`: the table of all routes."""

from core.app import app


def test_routes_lists_every_route(typed):
    status, output, errors = typed("routes")

    lines = output.splitlines()
    assert (status, errors) == (0, "")
    assert lines[0].split() == ["method", "path", "for", "what", "it", "does"]
    listed = [tuple(line.split()[:3]) for line in lines[1:]]
    assert sorted(listed) == sorted((route.method, route.rule, route.config["auth"]) for route in app.routes)
    assert all(len(line.split()) > 4 for line in lines[1:])
