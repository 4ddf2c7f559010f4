"""Chromium for the tests: one browser, and the operations of /docs in it."""

import contextlib
import json
import time
from urllib.parse import urlsplit

import pytest
from helpers import LONG
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from core.setup.system import program

CHROMIUM, DRIVER = program("chromium", "google-chrome"), program("chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
LISTEN = "window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.violatedDirective))"
NAMES = """return [...document.querySelectorAll(arguments[0])].map(block => [
    block.querySelector('.opblock-summary-method').textContent,
    block.querySelector('.opblock-summary-path').dataset.path,
])"""


@contextlib.contextmanager
def chromium_in(folder):
    """Give a browser with its profile in a folder; skip the test where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={folder}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        driver.set_script_timeout(LONG)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """Chromium, with what it noted on the way."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url, width=1280, scheme="light"):
        """Open a page in a window of this width, light or dark; forget what was noted before."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.prefer(scheme)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(url)

    def prefer(self, scheme):
        """Be a reader who prefers light or dark pages, on the open page too; and who prefers that nothing moves."""
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open_docs(self, url, width=1280, scheme="light"):
        """Open /docs, and wait until the operations are there."""
        self.open(url + "/docs", width, scheme)
        self.until(lambda: self.all(".opblock"))

    def all(self, selector, within=None):
        """Return all elements of a CSS selector."""
        return (within or self.driver).find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector, within=None):
        """Wait for an element; return it."""
        return self.until(lambda: self.all(selector, within))[0]

    def until(self, condition):
        """Wait until the condition holds; return what it returned."""
        return WebDriverWait(self.driver, LONG, poll_frequency=0.05).until(lambda _: condition())

    def run(self, script, *arguments):
        """Run a script in the page; return its value."""
        return self.driver.execute_script(script, *arguments)

    def click(self, element):
        """Click, wherever on the page the element is."""
        self.run("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", element)

    def type(self, element, text):
        """Replace what stands in a field, and leave it: Swagger UI takes some fields' text only then."""
        self.run("arguments[0].focus(); arguments[0].select()", element)
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})
        self.run("arguments[0].blur()", element)

    def press(self, key):
        """Press a key where the focus is."""
        ActionChains(self.driver).send_keys(key).perform()

    def focused(self):
        """Return the element that has the focus."""
        return self.driver.switch_to.active_element

    def authorize(self, **values):
        """Fill in Authorize, by the names of the security schemes, and close it."""
        self.click(self.one(".btn.authorize"))
        for name, value in values.items():
            (form,) = [form for form in self.all(".auth-container") if name == self.all("code", form)[0].text]
            self.type(self.one("input", form), value)
            self.click(self.one(".auth-btn-wrapper .authorize", form))
            self.one(".auth-btn-wrapper [aria-label=Logout]", form)
        self.click(self.one(".close-modal"))

    def settle(self):
        """Wait until the page has not grown for half a second."""
        heights = []

        def unchanged():
            heights.append(self.run("return document.documentElement.scrollHeight"))
            return len(heights) > 10 and len(set(heights[-10:])) == 1

        self.until(unchanged)

    def fetch(self, url, **options):
        """Fetch as the page's own script would; return what it can see, or the name of its error."""
        return self.driver.execute_async_script(
            """const [url, options, done] = arguments;
            fetch(url, options).then(async answer => done({
                status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text(),
            })).catch(error => done({error: error.name}));""",
            url,
            options,
        )

    def hosts(self):
        """Return the hosts that were asked for anything."""
        noted = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"]["request"]["url"] for event in noted if event["method"] == "Network.requestWillBeSent"]
        assert sent
        return {urlsplit(url).netloc for url in sent if not url.startswith(("data:", "blob:"))}

    def complaints(self):
        """Return what stands in the console, and what the page's policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")] + self.run("return window.refused")

    def overhang(self):
        """Return by how many pixels the page is wider than its window."""
        width = self.run("return document.documentElement.scrollWidth")
        return max(0, width - self.run("return window.innerWidth"))


class Operation:
    """One operation on /docs: open, filled in, executed."""

    def __init__(self, browser, method, path):
        self.browser = browser
        self.block = browser.all(".opblock")[shown(browser).index((method, path))]
        if "is-open" not in self.block.get_attribute("class"):
            browser.click(browser.one(".opblock-summary-control", self.block))
        self._repeatable = method == "GET"

    def execute(self, body=None, **parameters):
        """Fill in, press Execute; return status and JSON as the page shows them."""
        for name, value in parameters.items():
            field = self.browser.one(f'tr[data-param-name="{name.replace("_", "-")}"] input', self.block)
            self.browser.type(field, value)
        if body is not None:
            self.browser.type(self.browser.one("textarea.body-param__text", self.block), json.dumps(body))
        status = self._press(".live-responses-table .response .response-col_status")
        shown = self.browser.one(".live-responses-table .response-col_description pre", self.block)
        read = "return arguments[0].textContent"
        return int(self.browser.run(read, status)), json.loads(self.browser.run(read, shown))

    def _press(self, wanted):
        """Press Execute and wait for the element; press a GET again where a page still drawing lost the click."""
        pressed = 0.0

        def answered():
            nonlocal pressed
            found = self.browser.all(wanted, self.block)
            if not found and (not pressed or (self._repeatable and time.monotonic() - pressed > 3)):
                pressed = time.monotonic()
                self.browser.click(self.browser.one(".btn.execute", self.block))
            return found

        return self.browser.until(answered)[0]


def shown(browser, selector=".opblock"):
    """Return the (method, path) of all blocks of /docs, as shown."""
    return [tuple(pair) for pair in browser.run(NAMES, selector)]
