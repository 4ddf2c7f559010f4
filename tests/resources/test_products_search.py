"""Search: by the index of words, by reading, and by both; they find the same."""

import itertools
import re
import time
import unicodedata

import pytest
from helpers import SETTINGS, TABLES, execute
from test_products import get, names, pages_of
from webtest import TestApp

import server
from commands import seed
from core.setup.system import ROOT
from resources import products_search, products_typed, products_zones
from resources.products_orders import ORDERS

SORTS = ["newest", "oldest", "price", "-price", "name", "-name"]


@pytest.fixture
def reading(monkeypatch):
    """All words count as common: everything is found by reading."""
    monkeypatch.setattr(products_search, "COMMON", 0)


@pytest.fixture(params=["index", "reading", "both"])
def way(request, monkeypatch):
    """Each way to find products by words; in `both`, the index is asked for one word, and the texts for the others."""
    monkeypatch.setattr(products_search, "COMMON", 0 if request.param == "reading" else float("inf"))
    if request.param == "both":
        monkeypatch.setattr(products_zones, "products_in", lambda zones, products: 1)
        monkeypatch.setattr(products_search, "PASSED", 10**9)
    return request.param


# Words


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("wireless", ["Wireless Headphones"]),
        ("WIREL head", ["Wireless Headphones"]),  # beginnings of words, any case, every word
        ("wireless lamp", []),
        ("reless", []),  # not the middle of a word
        ("café", ["Café au lait"]),
        ("CAFE", ["Café au lait"]),
        ("cafe\u0301", ["Café au lait"]),  # the accent as a character of its own
        ("strasse", ["Straße"]),
        ("heavy-duty", ["Heavy-Duty Drill"]),
        ("o'neill", ["O'Neill Jacket"]),
        ("the lamp", ["The Lamp"]),  # a stop word
        ("a lamp", ["The Lamp"]),  # too short for the index
        ("4k", ["Monitor 4K"]),  # nothing but short words
        ("xl 4k", []),
        ("snake_case", ["snake_case book"]),
        ("quietest", ["The Lamp"]),  # in the description
    ],
)
def test_search_finds_words_and_their_beginnings(client, make, way, typed, found):
    for name in ("Wireless Headphones", "Café au lait", "Straße", "Heavy-Duty Drill", "O'Neill Jacket", "Monitor 4K"):
        make.product(name)
    make.product("The Lamp", description="The quietest of all.")
    make.product("snake_case book")

    assert names(client.get("/api/products", {"search": typed})) == found


@pytest.mark.parametrize(
    "typed", ["!!!", "+", "-", "*", '"', "(", ")", "@4", "~", "<>", "++a", "+-a", "c++", "%", "_", "\\", "'", "😀", " "]
)
def test_no_character_of_boolean_mode_breaks_a_search_or_empties_it_by_itself(client, make, way, typed):
    make.product("C++ for a cat")

    answer = client.get("/api/products", {"search": typed})

    assert answer.status_int == 200
    if not any(c.isalnum() for c in typed):
        assert names(answer) == ["C++ for a cat"]


OWN_NAMES = [
    "กาแฟเย็น",  # Thai; its vowels and tones are marks, as in the next ones
    "น้ำมัน มะพร้าว",
    "हिन्दी किताब",
    "कॉफ़ी मग",
    "தமிழ் புத்தகம்",
    "বাংলা বই",
    "తెలుగు పుస్తకం",
    "മലയാളം പുസ്തകം",
    "සිංහල පොත",
    "ភាសាខ្មែរ",
    "ລາວ ກາເຟ",
    "မြန်မာ စာအုပ်",  # Burmese has marks that the index takes for punctuation
    "مُحَمَّد كِتَاب",  # vocalised
    "קָפֶה שָׁחוֹר",
    "한국어 책",
    "日本語の本",
    "咖啡",
    "𠮷野家",  # beyond the first plane of Unicode
    "Кофемолка чёрная",
    "ΚΑΦΈΣ",
    "ქართული წიგნი",
    "Հայերեն գիրք",
    "አማርኛ መጽሐፍ",
    "Tiếng Việt sách",
    "İstanbul çayı",
    "GROẞE TASSE",
    "Straße",
    "Œuvre d'art",
    "½ inch bolt",
    "H₂O bottle",
    "m² tiles",
    "snake_case",
    "_edge",
    "__init__ manual",
    "edges_ of_ words",
    "_ alone ___ here_,_there",
    "❤️mug",  # a symbol with a mark that chooses its colour
    "Hawaiʻi",
    "Donaudampfschifffahrt" * 4,  # 84 characters, the most that the index has
    "Donaudampfschifffahrt" * 4 + "s gesellschaft",
    "x" * 200,  # of which 100 can be typed
]


@pytest.mark.slow
def test_every_product_is_found_by_the_words_of_its_own_name(client, make, way):
    made = {name: make.product(name) for name in OWN_NAMES}

    for name, id in made.items():
        for typed in {name[:100], *(word[:100] for word in products_typed.words_of(name))}:
            data = get(client, {"search": typed, "per_page": 100, "sort": "newest"})
            assert id in [item["id"] for item in data["items"]], (name, typed)


@pytest.mark.parametrize("typed", ["STRASSE", "straße", "STRAẞE"])
def test_a_sharp_s_is_found_however_it_is_written(client, make, way, typed):
    make.product("Straße eins")
    make.product("STRAẞE ZWEI")

    found = set(names(client.get("/api/products", {"search": typed})))

    assert found >= {"Straße eins"} | ({"STRAẞE ZWEI"} if "s" not in typed.lower()[4:] else set())


@pytest.mark.parametrize("name", ["_foo", "foo_", "_foo_", "__foo__", "a _foo_, b", "a,__foo", "(_foo_)"])
@pytest.mark.parametrize("where", ["name", "description", "category"])
def test_underscores_at_the_edges_of_a_word_are_no_part_of_it(client, make, way, name, where):
    category = make.category(name if where == "category" else "Other")
    make.product(name if where == "name" else "Bar", description=name, category_id=category)
    make.product("x_foo")

    for typed in ("foo", "fo", "_foo_", name):
        assert len(names(client.get("/api/products", {"search": typed}))) == 1, typed


@pytest.mark.parametrize("typed", ["\u0301", "ัั", "\ufe0f"])
def test_a_mark_without_a_letter_is_no_word(client, make, typed):
    make.product("Lamp")

    assert names(client.get("/api/products", {"search": typed})) == ["Lamp"]


def test_marks_without_end_take_no_time(client, lag):
    began = time.monotonic()

    answers = [client.get("/api/products", {"search": mark * 100}).status_int for mark in ("\u0301", "e\u0301\u0323")]

    assert answers == [200, 400]  # normalised only after its length is known
    assert time.monotonic() - began < lag.bound(5, began)


def test_the_lengths_of_indexed_words_are_the_servers_own(accounts, sql):
    asked = seed.in_transaction(accounts.owner, lambda db: db.one("products/bounds"))

    (said,) = sql("SELECT @@innodb_ft_min_token_size AS shortest, @@innodb_ft_max_token_size AS longest")
    assert {name: asked[name] for name in said} == said


# The ways find the same


def everything(client, query):
    """Return the names on all pages, page by page through the cursors, and the totals of the pages."""
    pages = list(pages_of(client, query))
    found = [item["name"] for page in pages for item in page["items"]]
    return found, [(page["pagination"]["total"], page["pagination"].get("total_is_exact", True)) for page in pages]


@pytest.fixture
def catalogue(client, make):
    """Forty lamps of four prices in two categories; every other is red, every third sold out, every fifth withdrawn."""
    lights, other = make.category("Lights"), make.category("Other")
    for n in range(40):
        make.product(
            f"{'Red' if n % 2 else 'Blue'} lamp {n * 7 % 40:02}",
            price=str(5 + n % 4),
            stock=n % 3,
            description="A re-design for tables" if n % 3 else "Not the middle: stared, tired",
            category_id=lights if n % 4 else other,
            is_active=n % 5 != 0,
            created_at=f"2026-01-01 00:00:{n // 3:02}",
        )
    return lights


@pytest.mark.slow
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("filtered", [{}, {"min_price": "6", "max_price": "7"}, {"in_stock": "true"}])
def test_reading_and_the_index_find_the_same_in_the_same_order(client, catalogue, monkeypatch, sort, filtered):
    query = {"search": "red lamp", "sort": sort, "per_page": 3, "category_id": catalogue, **filtered}
    by_index = everything(client, query)
    monkeypatch.setattr(products_search, "COMMON", 0)

    by_reading = everything(client, query)
    by_number = [name for page in range(1, 8) for name in names(client.get("/api/products", {**query, "page": page}))]

    assert len(by_index[0]) > 3
    assert by_reading == by_index
    assert by_number == by_index[0]


@pytest.mark.parametrize("sort", SORTS)
def test_what_is_read_is_in_the_order_of_the_list(sort):
    read, listed = (
        (ROOT / "sql" / f"{name}.sql").read_text() for name in ("products/read_ids", ORDERS[sort].statement)
    )

    (branch,) = re.findall(rf"%\(sort\)s (?:= '{sort}'|IN \('{sort}', [^)]*\)).*?ORDER BY ([^\n]+) LIMIT", read, re.S)

    assert f"\n    ORDER BY {branch}\n" in listed


@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
def test_what_is_not_among_those_read_is_on_the_pages_behind(client, catalogue, reading, monkeypatch, sort):
    query = {"search": "red", "sort": sort, "per_page": 4}
    everywhere = everything(client, query)[0]
    for bound in ("RANKED", "LEAST_READ", "MOST_READ"):
        monkeypatch.setattr(products_search, bound, 5)

    found, totals = everything(client, query)

    assert sorted(found) == sorted(everywhere) and (found == everywhere or sort == "relevance")
    assert len(everywhere) == 16 and len(totals) > 4


@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
def test_pages_by_number_are_those_by_cursor_also_where_they_are_not_full(
    client, catalogue, reading, monkeypatch, sort
):
    for bound in ("RANKED", "LEAST_READ", "MOST_READ"):
        monkeypatch.setattr(products_search, bound, 5)
    query = {"search": "red", "sort": sort, "per_page": 4}

    by_cursor = [[item["name"] for item in page["items"]] for page in pages_of(client, query)]
    by_number = [names(client.get("/api/products", {**query, "page": n + 1})) for n in range(len(by_cursor) + 1)]

    assert by_number == [*by_cursor, []]
    assert any(len(page) < 4 for page in by_cursor[:-1])


def test_a_common_word_beside_a_rare_one_is_looked_for_in_the_text(client, make, monkeypatch):
    make.products(3, name="lamp")
    make.product("Red lamp")
    make.product("Redder lamp", description="one-and-only")
    make.product("Spared lamp")
    make.product("Red mug")
    monkeypatch.setattr(products_search, "PASSED", 10**9)  # so that the index is asked for one word only

    found = get(client, {"search": "red lamp", "sort": "name"})

    assert [item["name"] for item in found["items"]] == ["Red lamp", "Redder lamp"]
    assert found["pagination"]["total"] == 2
    assert "total_is_exact" not in found["pagination"]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("typed", ["re", "b re"])
def test_short_words_are_found_on_every_page_behind_the_last_product_that_was_read(
    client, catalogue, monkeypatch, sort, typed
):
    query = {"search": typed, "sort": sort, "per_page": 3}
    all_at_once = [item["name"] for item in get(client, {**query, "per_page": 100})["items"]]
    monkeypatch.setattr(products_search, "READ_UNINDEXED", 5)

    found, totals = everything(client, query)

    assert found == all_at_once
    assert len(found) == {"re": 27, "b re": 11}[typed]
    assert all(not exact and total <= len(found) for total, exact in totals)


def test_what_none_of_the_first_has_is_found_behind_them(client, make, monkeypatch):
    make.product("Monitor 4k", price="99.00")
    make.products(20, name="Other", price="5.00")
    monkeypatch.setattr(products_search, "READ_UNINDEXED", 8)

    first = get(client, {"search": "4k", "sort": "price"})

    assert first["items"] == [] and first["pagination"]["next"]
    assert everything(client, {"search": "4k", "sort": "price"})[0] == ["Monitor 4k"]
    assert names(client.get("/api/products", {"search": "4k", "sort": "price", "page": 3})) == ["Monitor 4k"]


@pytest.mark.slow
@pytest.mark.parametrize("per_page", [1, 3, 7, 100])
@pytest.mark.parametrize("window", [5, 8, 31, 32, 33])
def test_common_words_by_relevance_are_found_to_the_end(client, catalogue, reading, monkeypatch, per_page, window):
    query = {"search": "lamp red", "sort": "relevance", "per_page": per_page}
    everyone = sorted(everything(client, {**query, "sort": "name"})[0])
    monkeypatch.setattr(products_search, "RANKED", window)
    monkeypatch.setattr(products_search, "FEWEST_RANKED", 1)

    found, totals = everything(client, query)

    assert sorted(found) == everyone and len(found) == 16
    assert all(total <= 16 for total, _ in totals)


@pytest.mark.parametrize("ranked_by", ["the index", "reading"])
def test_new_products_do_not_move_the_pages_by_relevance(client, make, monkeypatch, ranked_by):
    if ranked_by == "reading":
        for name, bound in {"COMMON": 0, "RANKED": 4, "FEWEST_RANKED": 1}.items():
            monkeypatch.setattr(products_search, name, bound)
    made = make.products(9, name="lamp")
    seen = []

    for data in pages_of(client, {"search": "lamp", "sort": "relevance", "per_page": 2}):
        seen += [item["id"] for item in data["items"]]
        make.product("lamp lamp")

    assert sorted(seen) == made


def test_a_search_continues_in_the_way_of_its_first_page(client, catalogue, monkeypatch):
    query = {"search": "red", "sort": "relevance", "per_page": 3}
    for name, bound in {"RANKED": 7, "FEWEST_RANKED": 1}.items():
        monkeypatch.setattr(products_search, name, bound)
    monkeypatch.setattr(products_search, "COMMON", 0)
    found, common = [], itertools.cycle([10**9, 0])

    for data in pages_of(client, query):
        found += [item["name"] for item in data["items"]]
        monkeypatch.setattr(products_search, "COMMON", next(common))  # what is common changes from page to page

    assert len(found) == len(set(found)) == 16


# Totals


@pytest.mark.parametrize(("typed", "bound"), [("monitor", "MOST_READ"), ("4k", "READ_UNINDEXED")])
def test_a_total_of_what_was_read_says_that_it_is_a_lower_bound(client, make, reading, monkeypatch, typed, bound):
    monkeypatch.setattr(products_search, bound, 2)
    make.products(3, name="Monitor 4K")

    pagination = get(client, {"search": typed, "per_page": 1, "sort": "newest"})["pagination"]

    assert (pagination["total"], pagination["total_is_exact"], pagination["has_next"]) == (2, False, True)


@pytest.mark.parametrize("typed", ["monitor", "4k"])
def test_a_total_is_exact_where_everything_was_read(client, make, reading, typed):
    make.products(3, name="Monitor 4K")

    pagination = get(client, {"search": typed})["pagination"]

    assert pagination["total"] == 3
    assert "total_is_exact" not in pagination


def test_a_total_is_never_less_than_what_has_been_shown(client, make, reading, monkeypatch):
    monkeypatch.setattr(products_search, "LEAST_READ", 2)
    monkeypatch.setattr(products_search, "MOST_READ", 4)
    make.products(9, name="Monitor")

    totals = everything(client, {"search": "monitor", "per_page": 2, "sort": "newest"})[1]

    assert all(total >= min(9, 2 * page) for page, (total, _) in enumerate(totals, 1))
    assert totals[-1] == (9, False)


# A catalogue of size


@pytest.fixture(scope="module")
def large(accounts):
    """A shop with 20,000 products; they are removed at the end."""
    seed.fill(accounts.owner, 20_000, clear=True)
    app = TestApp(server.shop(SETTINGS, accounts.application))
    yield app
    for table in TABLES:
        execute(accounts.owner, f"DELETE FROM {table}")


@pytest.mark.slow
@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
def test_a_word_that_a_third_has_is_found_without_the_index_of_words(large, monkeypatch, sort):
    asked = []
    real = server.Database.transaction

    def spying(database, work, *rest):
        def noting(db):
            one, many = db.one, db.many
            db.one = lambda name, **given: (asked.append(name), one(name, **given))[1]
            db.many = lambda name, **given: (asked.append(name), many(name, **given))[1]
            return work(db)

        return real(database, noting, *rest)

    monkeypatch.setattr(server.Database, "transaction", spying)

    found = get(large, {"search": "small", "sort": sort, "per_page": 100})

    assert "products/read_ids" in asked and "products/search_ids" not in asked
    assert len(found["items"]) == 100 and found["pagination"]["has_next"]
    assert found["pagination"]["total_is_exact"] is False and 100 < found["pagination"]["total"] < 1_000
    assert all(" small" in f" {item['name']} {item['description']}".lower() for item in found["items"])


@pytest.mark.slow
@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
@pytest.mark.parametrize("typed", ["small", "and", "small and", "cream", "tinkerbox cream", "in of", "velora tent"])
def test_a_search_reads_few_rows_however_many_products_have_its_words(large, accounts, typed, sort):
    get(large, {"search": typed, "sort": sort, "min_price": "0.01"})  # the sample is cached

    before = rows_read(accounts)
    get(large, {"search": typed, "sort": sort, "min_price": "0.02"})

    assert rows_read(accounts) - before < 30_000  # to read all 20,000 products takes some 80,000


def rows_read(accounts):
    """Return how many rows and index entries the database has read since its start."""
    return sum(int(row["Value"]) for row in execute(accounts.owner, "SHOW GLOBAL STATUS LIKE 'Handler_read%'"))


def those_with(accounts, *words):
    """Return the ids of the products on sale that have words beginning with all of these."""
    found = set()
    for row in execute(accounts.owner, "SELECT id, name, description FROM products WHERE is_active = 1"):
        text = unicodedata.normalize("NFD", f"{row['name']} {row['description']}".lower())
        text = " " + " ".join(re.findall(r"\w+", re.sub("[\u0300-\u036f]", "", text)))
        if all(f" {word}" in text for word in words):
            found.add(row["id"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
@pytest.mark.parametrize(
    "typed",
    ["4", "in of", "small", "tinkerbox", "tinkerbox small", "small and"],
    ids=["short", "short ones", "common", "rare", "rare and common", "common ones"],
)
def test_every_product_is_on_exactly_one_page(large, accounts, monkeypatch, sort, typed):
    monkeypatch.setattr(products_search, "COMMON", 1_000)
    wanted = those_with(accounts, *typed.split())

    pages = list(pages_of(large, {"search": typed, "sort": sort, "per_page": 100}))
    seen = [item["id"] for page in pages for item in page["items"]]

    assert all(page["pagination"]["total"] <= len(wanted) for page in pages)
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted
    assert len(wanted) > 10 and len(pages) <= len(wanted) / 100 + 30  # few are not full
