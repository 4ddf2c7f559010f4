"""The storefront as it is served: pages, files and their versions; what it takes with settings, edits and upgrades."""

import dataclasses
import gzip
import re
import shutil
import threading

import pytest
from helpers import SETTINGS, as_url
from webtest import TestApp

import server
from core.config import load
from core.contract.compression import BEST, compress
from core.shop import Shop
from resources import storefront

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MAIN = re.compile(r'src="(/storefront/([0-9a-f]{12})/app\.js)"')
PAGES = ["/", "/shop", "/shop/", "/shop/products/1", "/shop/no/such/page", "/password-reset"]
KEPT = "public, max-age=31536000, immutable"


def main_of(page):
    """Return (the address of a page's first script, its version)."""
    return MAIN.search(page.text).groups()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A copy of the files, which the process serves in their place, from an empty memory on."""
    folder = shutil.copytree(storefront.HERE, tmp_path / "storefront")
    monkeypatch.setattr(storefront, "FILES", storefront.Files(folder))
    return folder


def edit(folder, name="app.js", text="// edited\n"):
    """Add a line to a file."""
    (folder / name).write_text((folder / name).read_text("utf-8") + text, "utf-8")


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_served_at_every_address_of_the_shop_and_asks_before_it_is_used_again(client, path):
    page = client.get(path, headers=BROWSER)

    assert page.content_type == "text/html"
    assert page.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert page.headers.getall("Content-Security-Policy") == [storefront.POLICY]
    assert "unsafe" not in storefront.POLICY


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_the_shop_takes_any_query_and_repeats_none_of_it(client, path):
    page = client.get(f"{path}?search=lamp&category=3,4&utm_source=x&utm_source=%3Cscript%3E", headers=BROWSER)

    assert page.content_type == "text/html" and "utm" not in page.text and "<script>" not in page.text


@pytest.mark.parametrize("path", ["/api/products", "/api/shop", "/docs"])
def test_other_routes_stay_strict(client, path):
    assert client.get(f"{path}?utm_source=x", headers=BROWSER).status_int == 400


def test_all_that_the_page_names_exists(client):
    for path in ("/", "/shop/products/1"):
        names = re.findall(r'(?:src|href)="(/[^"#]+)', client.get(path, headers=BROWSER).text)
        assert len(names) > 5
        for name in names:
            client.get(name, headers=BROWSER, status=200)


def test_the_page_says_name_and_currency_without_a_request_and_a_name_is_text(wired):
    shop = wired(dataclasses.replace(SETTINGS, shop=Shop('Ada\'s "<b>&</b>" {assets}', "CHF")))

    page = shop.get("/shop").text

    named = "Ada&#x27;s &quot;&lt;b&gt;&amp;&lt;/b&gt;&quot; {assets}"
    assert f"<title>{named}</title>" in page and f">{named}</a>" in page and 'data-currency="CHF"' in page


def test_the_page_names_all_modules_that_its_first_view_needs(client):
    preloads = re.compile(r'<link rel="modulepreload" href="/storefront/\w+/(\w+\.js)">')

    def loaded(path):
        return set(preloads.findall(client.get(path).text))

    imports = storefront.FILES.current.imports
    assert {"app.js", "router.js", "api.js"} <= loaded("/shop/login") == imports("app.js")
    assert loaded("/shop") == imports("app.js") | imports("catalogue.js")
    assert loaded("/shop/products/1") == imports("app.js") | imports("product.js")


@pytest.mark.parametrize("name", sorted(storefront.FILES.current.files))
def test_a_file_is_kept_for_ever_as_its_address_has_the_version(client, name):
    answer = client.get(f"/storefront/{storefront.FILES.current.name}/{name}")

    assert answer.headers["Cache-Control"] == KEPT
    assert answer.content_type == storefront.MEDIA[name.rpartition(".")[2]].partition(";")[0]
    assert answer.body == (storefront.HERE / name).read_bytes()


@pytest.mark.parametrize(
    "name", ["none.js", "index.html", "app.py", "../app.js", "%2e%2e/app.js", "..%2fserver.py", "app.js/x", "", "app"]
)
def test_unknown_files_are_404(client, name):
    for version in (storefront.FILES.current.name, "0" * 12):
        assert client.get(f"/storefront/{version}/{name}").status_int == 404
    assert client.get(f"/storefront/{name}").status_int == 404
    assert client.get("/storefront/ABC/app.js").status_int == 404


def test_an_unknown_file_tells_a_browser_in_html(client):
    answer = client.get("/storefront/none.js", headers=BROWSER)

    assert (answer.status_int, answer.content_type) == (404, "text/html")


def test_without_a_storefront_its_addresses_are_unknown(client, wired):
    address, _ = main_of(client.get("/shop"))
    wired(dataclasses.replace(SETTINGS, storefront=False))
    api = client

    for path in ("/shop", "/shop/products/1", "/password-reset", address):
        assert api.get(path, headers=BROWSER).status_int == 404
        assert "There is nothing at this address" in api.get(path, headers=BROWSER).text
        assert api.get(path).json["error"]["code"] == "NOT_FOUND"
    assert "storefront" not in api.get("/").json["data"]["links"]
    assert "An e-commerce API" in api.get("/", headers=BROWSER).text


def test_the_setting_is_on_or_off(tmp_path):
    def given(**environ):
        return load(environ, tmp_path / ".env").storefront

    assert (given(), given(STOREFRONT="on"), given(STOREFRONT="off")) == (True, True, False)


# Edits and upgrades


def test_an_edit_is_seen_at_the_next_page_while_the_shop_is_being_developed(wired, files):
    shop = wired()  # with the private database
    before, _ = main_of(shop.get("/shop"))

    edit(files)
    after, _ = main_of(shop.get("/shop"))

    assert after != before
    assert shop.get(after).text.endswith("// edited\n")
    assert not shop.get(before).text.endswith("// edited\n")  # a page that is open goes on with its own
    assert shop.get(before).headers["Cache-Control"] == KEPT


def test_an_edit_of_the_page_itself_is_seen_too(wired, files):
    shop = wired()
    shop.get("/shop")

    edit(files, "index.html", "<!-- edited -->\n")

    assert shop.get("/shop").text.endswith("<!-- edited -->\n")


def test_a_new_file_is_there_without_a_restart(wired, files):
    shop = wired()

    (files / "new.js").write_text("// new\n")
    address, _ = main_of(shop.get("/shop"))

    assert shop.get(address.replace("app.js", "new.js")).text == "// new\n"


def test_in_production_a_page_is_of_the_version_of_the_start(wired, accounts, files):
    shop = wired(dataclasses.replace(SETTINGS, database=accounts.application))
    before, _ = main_of(shop.get("/shop"))

    edit(files)

    assert main_of(shop.get("/shop"))[0] == before
    assert not shop.get(before).text.endswith("// edited\n")


def test_with_reload_an_edit_is_seen_with_a_database_of_ones_own_too(wired, accounts, files):
    wired()  # which puts things back
    shop = TestApp(
        server.shop(dataclasses.replace(SETTINGS, database=accounts.application), accounts.application, True)
    )
    before, _ = main_of(shop.get("/shop"))

    edit(files)

    assert main_of(shop.get("/shop"))[0] != before


def test_amid_an_upgrade_an_old_worker_has_the_files_of_new_pages_and_a_new_one_those_of_old_pages(
    wired, accounts, files, monkeypatch
):
    settings = dataclasses.replace(SETTINGS, database=accounts.application)
    old, old_files = wired(settings), storefront.FILES
    old_main, _ = main_of(old.get("/shop"))
    edit(files)
    new_page = main_of(wired(settings).get("/shop"))[0]  # SIGHUP: the same process, then a worker of its own

    assert old.get(old_main).headers["Cache-Control"] == KEPT
    assert not old.get(old_main).text.endswith("// edited\n")

    monkeypatch.setattr(storefront, "FILES", old_files)  # a worker that was there before the edit
    assert old.get(new_page).headers["Cache-Control"] == KEPT
    assert old.get(new_page).text.endswith("// edited\n")


def test_of_a_version_that_nobody_here_knows_the_present_file_is_given_and_stored_by_nobody(client):
    answer = client.get("/storefront/0123456789ab/app.js")

    assert answer.body == (storefront.HERE / "app.js").read_bytes()
    assert answer.headers["Cache-Control"] == "no-store"


def test_no_more_than_a_few_versions_are_in_memory(wired, files):
    shop = wired()
    first, _ = main_of(shop.get("/shop"))
    for number in range(storefront.VERSIONS):
        edit(files, text=f"// {number}\n")
        last, _ = main_of(shop.get("/shop"))

    assert len(storefront.FILES.versions) == storefront.VERSIONS
    assert shop.get(first).headers["Cache-Control"] == "no-store"
    assert shop.get(last).headers["Cache-Control"] == KEPT


def test_many_at_once_amid_edits_get_whole_pages_and_files_that_fit(wired, files):
    shop = wired()
    problems, done = [], threading.Event()

    def look():
        while not done.is_set():
            address, version = main_of(shop.get("/shop"))
            answer = shop.get(address)
            if answer.headers["Cache-Control"] != KEPT:
                problems.append(version)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        edit(files, text=f"// {number}\n")
    done.set()
    for thread in threads:
        thread.join()

    assert problems == []


def test_a_real_shop_sends_files_compressed_and_any_of_its_workers_has_them(start, accounts, sql):
    real = start("--workers", "2", DATABASE_URL=as_url(accounts.application), SHOP_NAME="Corner Shop")

    page = real.request("/shop").body.decode()
    address = MAIN.search(page)[1].replace("app.js", "shop.css")
    answers = [real.request(address, Accept_Encoding="gzip") for _ in range(8)]

    plain = (storefront.HERE / "shop.css").read_bytes()
    assert "<title>Corner Shop</title>" in page
    for answer in answers:
        assert (answer.headers["Cache-Control"], answer.headers["Content-Encoding"]) == (KEPT, "gzip")
        assert gzip.decompress(answer.body) == plain
        assert len(answer.body) < len(plain) / 3


def test_all_scripts_together_weigh_at_most_60_kb_as_they_travel():
    files = storefront.FILES.current.files
    sizes = {name: len(compress(data, BEST)) for name, data in files.items() if name.endswith(".js")}

    assert len(sizes) > 10
    assert sum(sizes.values()) <= 60_000, sizes
