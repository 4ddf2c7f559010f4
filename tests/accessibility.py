"""axe-core in the browser of the tests: what is wrong with a page for those who see it not at all, or not well."""

import pathlib
import shutil

import pytest
from npm import installed

AXE = pathlib.Path(__file__).parent / "axe"
FIND = """const [options, done] = arguments;
const frame = () => new Promise(next => requestAnimationFrame(() => setTimeout(next)));
const covered = node => node.any.some(check => check.data?.messageKey === 'elmPartiallyObscured'); // scrolling
frame().then(frame).then(() => axe.run(document, options)).then(found => done(
    found.violations.concat(found.incomplete).flatMap(rule => rule.nodes.filter(node => !covered(node)).map(
        node => `${rule.id}: ${node.target.join(' ')} ${node.failureSummary}`))))"""
EVERYTHING = {"rules": {"target-size": {"enabled": True}}}
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # nothing else is another one in the dark


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The script of axe-core."""
    folder = installed("axe", tmp_path_factory.mktemp("axe"), oldest=18)
    yield (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    shutil.rmtree(folder)


@pytest.fixture
def violations(chromium, axe):
    """`violations()`: what axe has against the page that is open, in light and in dark, or cannot tell, as texts."""

    def find():
        chromium.settle()
        chromium.run(axe)
        found = chromium.driver.execute_async_script(FIND, EVERYTHING)
        chromium.prefer("dark")
        found += [f"{text} (in the dark)" for text in chromium.driver.execute_async_script(FIND, COLOURS)]
        chromium.prefer("light")
        return found

    return find
