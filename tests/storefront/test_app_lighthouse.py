"""Lighthouse on the list and on a product: 95 of 100 and more, for a telephone on slow 4G as it simulates that."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
from browser import CHROMIUM
from npm import installed, require_exact_versions

LIGHTHOUSE = pathlib.Path(__file__).parents[1] / "lighthouse"
ROUNDS = 3  # the best counts: the machine may be busy
LEAST = 0.95


@pytest.fixture(scope="module")
def lighthouse(tmp_path_factory):
    """`lighthouse(url)`: the scores of a page, by category, and its layout shift."""
    if not CHROMIUM:
        pytest.skip("needs chromium")
    folder = installed("lighthouse", tmp_path_factory.mktemp("lighthouse"), oldest=18)

    def audit(url):
        words = ["npx", "lighthouse", url, "--quiet", "--output=json", "--output-path=report.json"]
        words += ["--only-categories=performance,accessibility,best-practices", "--no-enable-error-reporting"]
        words += ["--chrome-flags=--headless=new --no-sandbox --no-proxy-server"]
        ran = subprocess.run(
            words, cwd=folder, env={**os.environ, "CHROME_PATH": CHROMIUM}, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        report = json.loads((folder / "report.json").read_text("utf-8"))
        scores = {name: category["score"] for name, category in report["categories"].items()}
        return scores, report["audits"]["cumulative-layout-shift"]["numericValue"]

    yield audit
    shutil.rmtree(folder)


@pytest.mark.parametrize("path", ["/", "/shop/products/3"])
def test_lighthouse_gives_at_least_95(lighthouse, shop, path):
    best = {}
    for _ in range(ROUNDS):
        scores, shift = lighthouse(shop.url + path)
        best = {name: max(score, best.get(name, 0)) for name, score in scores.items()}
        print(path, scores, shift)
        assert shift <= 0.01
        if min(best.values()) >= LEAST:
            break

    assert min(best.values()) >= LEAST, best


def test_the_lock_names_exact_versions_and_no_host():
    require_exact_versions(
        *(json.loads((LIGHTHOUSE / name).read_text("utf-8")) for name in ("package.json", "package-lock.json"))
    )
