"""What the tests of the list of products see of it, and do with it."""

CARDS = ".goods:not(:has(.skeleton))"


def names(browser):
    """Wait until no card is loading; return the names in the window."""
    browser.until(lambda: browser.all(".goods") and not browser.all(".goods .skeleton, .grid[aria-busy]"))
    return browser.run(
        "return [...document.querySelectorAll('.goods')].filter(li => li.getBoundingClientRect().bottom > 70"
        " && li.getBoundingClientRect().top < innerHeight).map(li => li.querySelector('.name').textContent)"
    )


def places(browser):
    """Return where each card is: its number in the list, and how far from the window's top (pixels)."""
    names(browser)
    return browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.goods')].map(li =>"
        " [li.querySelector('.name').textContent, Math.round(li.getBoundingClientRect().top)]))"
    )


def scroll(browser, pixels):
    """Turn the wheel over the list."""
    x, y = 800, 500
    browser.driver.execute_cdp_cmd(
        "Input.dispatchMouseEvent", {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": pixels}
    )


def scroll_to(browser, number):
    """Scroll until a card is in the window; return what is seen when the address says so."""
    browser.run(
        "const row = parseFloat(getComputedStyle(document.querySelector('.grid')).getPropertyValue('--row-height'));"
        "const columns = Number(getComputedStyle(document.querySelector('.grid')).getPropertyValue('--columns'));"
        "scrollTo({top: Math.floor(arguments[0] / columns) * row + 120, behavior: 'instant'})",
        number,
    )
    browser.until(lambda: "at=" in browser.address())
    seen = names(browser)
    last = None
    while last != (last := browser.address()):
        browser.driver.execute_async_script("setTimeout(arguments[0], 400)")
    return seen


def choose(browser, text):
    """Tick the box with this label."""
    find = "return [...document.querySelectorAll('.choice')].find(each => each.textContent.startsWith(arguments[0]))"
    browser.click(browser.until(lambda: browser.run(find, text)))


def counts(browser):
    """Return the categories with the counts beside them."""
    lines = browser.run("return [...document.querySelectorAll('fieldset .choice')].map(each => each.innerText)")
    return {name.strip(): int(number.replace(",", "")) for name, number in (line.rsplit("\n", 1) for line in lines)}


def total(browser, number):
    """Wait until so many products are said to be there."""
    text = f"{number:,} product{'s' if number != 1 else ''}"
    browser.until(lambda: browser.text(".head p") == text)


def asked(shop, query=""):
    """Return what the API says of a list."""
    return shop.ask(f"/api/products?facets=true&{query}")
