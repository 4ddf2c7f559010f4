"""Ten thousand products scrolled from the first to the last: each is shown, and neither page nor memory grows."""

from listing import asked, names, total

PRODUCTS = 10_000
SPELL = 10  # seconds for which one script scrolls
# To paint ten thousand pictures takes five times as long as all else, and says nothing of the list.
NO_PICTURES = """const style = new CSSStyleSheet();
style.replaceSync('.goods img { display: none }');
document.adoptedStyleSheets.push(style);"""
STEP = """const [steps, seconds, done] = arguments;
const end = performance.now() + 1000 * seconds;
const frame = () => new Promise(next => requestAnimationFrame(() => setTimeout(next)));
const seen = new Set();
let [step, most] = [0, 0];
for (; step < steps && performance.now() < end; step++) {
    const cards = [...document.querySelectorAll('.goods')];
    if (cards.some(card => card.querySelector('.skeleton'))) step--; // wait for what is in the page
    else {
        for (const card of cards) seen.add(card.querySelector('a').pathname);
        scrollBy({top: innerHeight, behavior: 'instant'});
    }
    most = Math.max(most, document.querySelectorAll('*').length);
    await frame();
}
done([[...seen], most, step]);"""
KEEP_ALL = """window.kept = [];
for (let n = 0; n < 10_000; n++) {
    const card = document.querySelector('.goods').cloneNode(true);
    const text = [...'Words of it. '.repeat(20)].join('') + n;
    card.product = {n, name: text.slice(0, 40), description: text};
    kept.push(card);
}"""
GROWTH = 3_000_000  # bytes; ten thousand cards and their products that are kept take several times as much


def used(browser):
    """Return the bytes that the page's scripts hold, once what nobody needs is collected; and the nodes that live."""
    for _ in range(2):
        browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    heap = browser.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})
    nodes = browser.driver.execute_cdp_cmd("Memory.getDOMCounters", {})["nodes"]
    return heap["usedSize"] + heap.get("embedderHeapUsedSize", 0), nodes


def scrolled(browser, windows):
    """Scroll by so many windows; return the addresses of the products that were shown, and the most elements there."""
    shown, most = set(), 0
    while windows > 0:
        seen, elements, steps = browser.driver.execute_async_script(STEP, windows, SPELL)
        assert steps, "nothing is loaded"
        windows -= steps
        shown.update(seen)
        most = max(most, elements)
    return shown, most


def test_ten_thousand_products_are_all_shown_and_memory_does_not_grow(browser, shop):
    size = asked(shop)["pagination"]["total"]
    assert size > 9_000
    browser.visit("/shop?sort=name")
    browser.run(NO_PICTURES)
    total(browser, size)
    names(browser)
    seen, _ = scrolled(browser, 40)
    before, nodes_before = used(browser)

    windows = browser.run("return document.documentElement.scrollHeight / innerHeight")
    shown, most = scrolled(browser, int(windows))

    after, nodes_after = used(browser)
    print(f"{size} products: heap {before:,} to {after:,} bytes, nodes {nodes_before} to {nodes_after}, at most {most}")
    assert len(seen | shown) == size
    assert most < 1_000
    assert after - before < GROWTH and nodes_after < nodes_before + 3_000
    browser.run(KEEP_ALL)  # what a list that forgets nothing would hold is more than the test allows
    kept, nodes_kept = used(browser)
    assert kept - after > 3 * GROWTH and nodes_kept > nodes_after + 30_000
