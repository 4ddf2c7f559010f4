"""A visitor of the storefront: the browser of tests/browser.py, with hands, a network, and a memory for complaints."""

import json
from urllib.parse import urlsplit

from browser import Browser
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

ONLINE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


class Visitor(Browser):
    """Who looks at the shop in a browser. `refusals`: texts of console lines that the test brings about ("409")."""

    def __init__(self, driver, url):
        super().__init__(driver)
        self.url = url
        self.refusals = []
        self._noted, self._hosts = [], set()

    def visit(self, path, width=1280, scheme="light"):
        """Open an address of the shop in a window of this width, light or dark."""
        self._collect()
        self.open(self.url + path, width, scheme)

    def forget(self):
        """Be somebody whom this shop has never seen: no cookie, no storage, nothing in the cache."""
        self.network()
        self.driver.get("about:blank")
        everything = {"origin": self.url, "storageTypes": "all"}
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", everything)
        self.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)

    def click(self, element):
        """Click as a hand does: what covers the element fails the test."""
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def type(self, element, text):
        """Replace what stands in a field, key by key; the focus stays there."""
        self.click(element)
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(Keys.DELETE)
        element.send_keys(text)

    def press(self, *keys):
        """Press keys where the focus is, one after the other."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def button(self, name, within=None):
        """Wait for the button or link with this text or label; return it."""
        find = """return [...(arguments[1] ?? document).querySelectorAll('button, a, [role=button]')].find(each =>
            (each.getAttribute('aria-label') ?? each.textContent).trim() === arguments[0]
                && each.checkVisibility({visibilityProperty: true}))"""
        return self.until(lambda: self.run(find, name, within))

    def text(self, selector="main"):
        """Return what an element shows; "" where there is none."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def shows(self, text, selector="main"):
        """Wait until an element shows a text."""
        self.until(lambda: text in self.text(selector))

    def address(self):
        """Return path, query and hash of the page."""
        return self.run("return location.pathname + location.search + location.hash")

    def network(self, **conditions):
        """Let the network be like this: offline=True, latency=150 (ms), downloadThroughput=200_000 (bytes a second)."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", ONLINE | conditions)

    def picture(self, path):
        """Write a picture of what the window shows."""
        self.driver.save_screenshot(str(path))

    def require_peace(self):
        """Assert that nothing stands in the console, the policy refused nothing, and no other host was asked."""
        unexpected = [line for line in self.complaints_so_far() if not any(text in line for text in self.refusals)]
        assert unexpected == [], unexpected
        assert self._hosts <= {urlsplit(self.url).netloc}

    def complaints_so_far(self):
        """Return what stands in the console, and what the policy refused, on all pages that were visited."""
        self._collect()
        return self._noted

    def hosts_so_far(self):
        """Return the hosts that were asked for anything."""
        self._collect()
        return self._hosts

    def _collect(self):
        """Remember what the browser has noted since the last time."""
        lines = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        self._noted += lines + (self.run("return window.refused") or [])
        noted = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"]["request"]["url"] for event in noted if event["method"] == "Network.requestWillBeSent"]
        self._hosts |= {urlsplit(url).netloc for url in sent if url.startswith(("http:", "https:", "ws"))}
