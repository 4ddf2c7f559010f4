"""How soon there is something to see: what is counted is asserted, what is timed is printed (pytest -s)."""

import pytest

FAST_4G = {"latency": 60, "downloadThroughput": 9e6 / 8, "uploadThroughput": 1.5e6 / 8}  # ms; bytes a second
WATCH = """window.shift = 0; window.seen = null;
new PerformanceObserver(list => list.getEntries().forEach(one => { if (!one.hadRecentInput) shift += one.value; }))
    .observe({type: 'layout-shift', buffered: true});
const looking = new MutationObserver(() => {
    const name = document.querySelector('main .grid a[href^="/shop/products/"], main .cost');
    if (!name) return;
    looking.disconnect();
    requestAnimationFrame(() => setTimeout(() => { seen = performance.now(); }));
});
looking.observe(document, {childList: true, subtree: true});"""
MOST = {
    "/": (20, 45_000),
    "/shop/products/3": (20, 40_000),
}  # requests and bytes before the first product; pictures apart


@pytest.mark.parametrize("path", MOST)
def test_the_first_product_is_there_after_few_requests_and_nothing_moves(browser, path):
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    browser.network(**FAST_4G)

    browser.visit(path)
    seen = browser.until(lambda: browser.run("return window.seen"))
    browser.settle()
    entries = browser.run(
        """return performance.getEntriesByType('resource').map(one => [new URL(one.name).pathname, one.startTime,
            one.transferSize])"""
    )
    shift = browser.run("return window.shift")
    browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})

    before = [entry for entry in entries if entry[1] < seen and not entry[0].startswith("/images/")]
    requests, size = len(before), sum(entry[2] for entry in before)
    print(f"\n{path}: first product after {seen:.0f} ms, {requests} requests, {size / 1000:.1f} KB, CLS {shift:.4f}")
    assert (requests <= MOST[path][0], size <= MOST[path][1]) == (True, True), sorted(before)
    assert shift <= 0.01
