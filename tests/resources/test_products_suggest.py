"""Suggestions for what is being typed, what was perhaps meant, and the words that both are found by."""

import contextlib
import dataclasses
import re

import pytest
from helpers import SETTINGS, at_once, bearer, execute, login, register

from commands import seed
from core.db.drivers import connect
from core.db.migrator import Migrator
from core.db.session import Session
from core.db.statements import Statements
from core.setup.system import ROOT
from resources import products_suggest
from resources.products_suggest import MOST_SPELLINGS, did_you_mean, spellings_of, suggestions

NAMES = ("Desk Lamp", "Floor Lamp, Black", "Café Table", "Wireless Headphones")


@pytest.fixture
def sell(client, root):
    """`sell(name, …, **fields)`: add products through the shop; return their ids."""

    def add(*names, **fields):
        sent = [{"name": name, "price": 10, **fields} for name in names]
        return [client.post_json("/api/products", one, headers=root).json["data"]["id"] for one in sent]

    return add


@pytest.fixture
def suggest(client):
    """`suggest(text)`: the names that are suggested; `whole=True`: the whole data."""

    def ask(text, whole=False):
        answer = client.get("/api/products/suggest", {"q": text})
        assert answer.status_int == 200, answer.text
        data = answer.json["data"]
        return data if whole else [row["name"] for row in data["suggestions"]]

    return ask


@pytest.fixture
def database(accounts, sql):
    """A Session on a connection of its own."""
    with contextlib.closing(connect(accounts.owner, 10, scripts=True)) as connection, connection.cursor() as cursor:
        yield Session(cursor, Statements(ROOT / "sql"))


def stored(sql):
    """Return {(word, product)} and the known words, in lower case."""
    rows = sql("SELECT word, product_id FROM product_words")
    known = sql("SELECT word FROM known_words")
    return {(row["word"].lower(), row["product_id"]) for row in rows}, {row["word"].lower() for row in known}


# What is found


def test_names_of_products_and_of_categories_are_suggested(sell, suggest, make):
    category = make.category("Lamps & Light")
    (id,) = sell("Lamp Shade")

    assert suggest("lamp", whole=True) == {
        "suggestions": [
            {"kind": "category", "id": category, "name": "Lamps & Light"},
            {"kind": "product", "id": id, "name": "Lamp Shade"},
        ],
        "did_you_mean": None,
    }


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("d", "Desk Lamp"),
        ("desk", "Desk Lamp"),
        ("desk l", "Desk Lamp"),
        ("Desk Lamp", "Desk Lamp"),
        ("lamp des", "Desk Lamp"),
        ("  DESK   lam ", "Desk Lamp"),
        ("bla", "Floor Lamp, Black"),
        ("black floor", "Floor Lamp, Black"),
        ("lamp,b", "Floor Lamp, Black"),
        ("cafe", "Café Table"),
        ("CAFÉ T", "Café Table"),
        ("cafe\u0301 ta", "Café Table"),
        ("tab", "Café Table"),
        ("headphones wireless", "Wireless Headphones"),
    ],
)
def test_the_beginning_of_a_name_or_of_its_words_finds_it_in_any_order_case_and_accent(sell, suggest, typed, name):
    sell(*NAMES)

    assert suggest(typed) == [name]


@pytest.mark.parametrize("typed", ["amp", "desk table", "lamp x", "deskl", "sk la", "desk-lamps"])
def test_what_is_no_beginning_of_a_word_finds_nothing(sell, suggest, typed):
    sell(*NAMES)

    assert suggest(typed) == []


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Straßenlampe, groß", "strasse"),
        ("Große Straßenlampe", "strasse gross"),
        ("Große Straßenlampe", "groß straß"),
        ("Холодильник белый", "бел"),
        ("โคมไฟ ตั้งโต๊ะ", "ตั้ง"),
        ("冷蔵庫 白", "白"),
        ("مصباح مكتب", "مكتب"),
        ("Chef's Knife", "chef's k"),
        ("snake_case lamp", "snake_c"),
        ("snake_case lamp", "case"),
        ('50% Off \\ "Deal" [a,b]', "b dea"),
        ("4K TV", "4k"),
        ("Cafe\u0301 noir", "noir café"),
        ("x" * 255, "x" * 100),
        ("𐐨𐐩 Deseret", "𐐨"),
    ],
)
def test_every_script_is_a_word_and_all_else_parts_words(sell, suggest, name, typed):
    sell(name, "Something Else")

    assert suggest(typed) == [name]


@pytest.mark.parametrize("typed", ["%", "_", "%%", "' OR 1=1 --", "\\", '"', "[", "😀", "\x00", "\U0010ffff", "."])
def test_signs_find_nothing_and_harm_nothing(sell, suggest, typed):
    sell(*NAMES)

    assert suggest(typed, whole=True) == {"suggestions": [], "did_you_mean": None}


def test_a_name_that_many_products_have_is_suggested_once(sell, suggest):
    sell(*["Desk Lamp"] * 12, "desk lamp", "Desk Lamp XL")

    assert sorted(map(str.lower, suggest("desk"))) == ["desk lamp", "desk lamp xl"]
    assert sorted(map(str.lower, suggest("lamp"))) == ["desk lamp", "desk lamp xl"]


def test_there_are_at_most_ten_and_each_kind_has_its_places(sell, suggest, make):
    for number in range(12):
        make.category(f"Lamps {number:02}")
    sell(*(f"Lamp {letter}" for letter in "ABCDEFGHIJKL"), *(f"Desk Lamp {letter}" for letter in "ABCDEFGHIJKL"))

    found = suggest("lamp", whole=True)["suggestions"]

    assert [row["kind"] for row in found] == ["category"] * 3 + ["product"] * 7
    assert [row["name"] for row in found[:7]] == [*(f"Lamps {n:02}" for n in range(3)), *(f"Lamp {x}" for x in "ABCD")]
    assert found[7]["name"] == "Desk Lamp L"  # the newest of those that have the word


def test_every_word_counts_however_many_are_typed(sell, suggest):
    name = "One Two Three Four Five Six Seven Eight"
    sell(name)

    assert suggest("eight seven six five four three two one") == [name]
    assert suggest("one two three four five six seven eigth", whole=True) == {"suggestions": [], "did_you_mean": None}
    assert suggest("one two three four five sxi", whole=True)["did_you_mean"] == "one two three four five six"


def test_places_that_others_leave_free_are_taken(suggest, make):
    for number in range(12):
        make.category(f"Lamps {number:02}")

    assert suggest("lamp") == [f"Lamps {number:02}" for number in range(10)]


def test_of_several_words_that_begin_so_each_has_its_turn(sell, suggest):
    sell(*(f"My Lamp {n}" for n in range(9)), "My Lantern", "My Laptop")

    assert set(suggest("la")[:3]) == {"My Laptop", "My Lantern", "My Lamp 8"}


# Whatever changes a name


def test_a_withdrawn_product_is_not_suggested_until_it_is_on_sale_again(client, root, sell, suggest, sql):
    (id,) = sell("Desk Lamp")

    client.delete(f"/api/products/{id}", headers=root)
    gone, words = suggest("lamp"), stored(sql)[0]
    client.put_json(f"/api/products/{id}", {"is_active": True}, headers=root)

    assert (gone, words) == ([], set())
    assert suggest("lamp") == ["Desk Lamp"]


def test_a_product_that_is_not_on_sale_yet_is_not_suggested(sell, suggest, sql):
    sell("Desk Lamp", is_active=False)

    assert suggest("lamp") == suggest("desk") == []
    assert stored(sql) == (set(), set())


def test_a_renamed_product_is_found_by_its_new_name_alone(client, root, sell, suggest, sql):
    (id,) = sell("Desk Lamp lamp")

    client.put_json(f"/api/products/{id}", {"name": "Reading Lamp"}, headers=root)

    assert suggest("desk") == []
    assert suggest("read") == suggest("lamp") == ["Reading Lamp"]
    assert stored(sql)[0] == {("reading", id), ("lamp", id)}


def test_further_words_are_looked_for_in_the_newest_products_that_have_the_rarest(sell, suggest, monkeypatch):
    monkeypatch.setattr(products_suggest, "READ", 2)
    monkeypatch.setattr(products_suggest, "READ_NAMES", 0)
    sell("Blue Lamp One", "Blue Lamp Two", "Blue Lamp Three", "Blue Lamp Four", "Red Lamp Five", "Red Lamp Six")
    sell("Red Desk", "Blue Desk", "Red Chair", "Blue Chair")  # lamp is the rarest

    assert suggest("lamp blu") == ["Blue Lamp Four"]


def test_other_changes_leave_the_words_alone(client, root, sell, sql, monkeypatch):
    (id,) = sell("Desk Lamp")
    plainly, run = Session.run, []
    monkeypatch.setattr(Session, "run", lambda db, name, /, **rest: run.append(name) or plainly(db, name, **rest))

    client.put_json(f"/api/products/{id}", {"price": 12, "name": "Desk Lamp"}, headers=root)
    client.post_json(f"/api/products/{id}/stock", {"change": 3}, headers=root)

    assert {"products/update", "products/change_stock"} <= set(run)
    assert [name for name in run if "words" in name] == []
    assert stored(sql)[0] == {("desk", id), ("lamp", id)}


def test_an_import_changes_the_words_too(client, root, sell, suggest, sql):
    renamed, withdrawn, same = sell("Desk Lamp", "Floor Lamp", "Wall Lamp")
    table = (
        f"id,name,price,is_active\r\n{renamed},Reading Lamp,10,true\r\n{withdrawn},Floor Lamp,10,false\r\n"
        f"{same},Wall Lamp,12,true\r\n,Brand Lamp,10,true\r\n,Not Yet,10,false\r\n"
    )

    answer = client.post("/api/products/import", table, headers={**root, "Content-Type": "text/csv"})

    assert answer.json["data"] == {"created": 2, "updated": 3, "dry_run": False}
    assert suggest("desk") == suggest("floor") == suggest("not") == []
    assert sorted(suggest("lamp")) == ["Brand Lamp", "Reading Lamp", "Wall Lamp"]


def test_a_change_that_is_refused_changes_no_word(client, root, sell, sql):
    (id,) = sell("Desk Lamp")

    refused = client.put_json(f"/api/products/{id}", {"name": "X", "category_id": 999}, headers=root)

    assert refused.status_int == 400
    assert stored(sql)[0] == {("desk", id), ("lamp", id)}


def test_seeded_products_have_their_words(sql, accounts, suggest):
    seed.fill(accounts.owner, 300)
    seed.fill(accounts.owner, 150, clear=True)

    rows = sql("SELECT id, name FROM products WHERE is_active = 1")
    expected = {(word.lower(), row["id"]) for row in rows for word in re.findall(r"\w+", row["name"])}
    assert stored(sql) == (expected, {word for word, _ in expected})
    assert all(suggest(word[:4]) for word in sorted({word for word, _ in expected})[::20])


def test_the_migrations_find_the_words_of_the_catalogue_that_is_there(sql, accounts, sell):
    sell(*NAMES, "Desk desk DESK lamp", "***", 'Große 50% "x" \\ [y]', "a_b")
    sell("Hidden", is_active=False)
    before = stored(sql)
    migrator = Migrator(accounts.owner, lambda line: None)

    newer = 0
    while "product_words" not in (migrator.down() or "product_words"):
        newer += 1
    migrator.up()

    assert newer >= 1  # known_words is made from product_words
    assert stored(sql) == before
    assert len(before[0]) > 15


def test_words_are_parted_in_one_way_wherever_they_are_made():
    files = [*(ROOT / "sql").rglob("*words.sql"), *(ROOT / "migrations").glob("*_product_words.up.sql")]
    made = [re.findall(r"JSON_TABLE\(\s*(CONCAT\(.*?\)), '\"\]'\)", file.read_text("utf-8"), re.S) for file in files]
    ways = {re.sub(r"\s+", " ", way) for ways in made for way in ways}

    assert len(ways) == 1
    assert sum(map(len, made)) == 4


@pytest.mark.slow
def test_writers_who_bring_the_same_new_words_at_once_lose_nothing(boss, sql):
    real, root = boss
    for turn in range(6):
        words = [f"new{turn}{letter}" for letter in "abcdef"]
        names = [" ".join(words), " ".join(reversed(words))] * 4
        sent = [{"name": name, "price": 1} for name in names]
        jobs = [lambda one=one: real.request("/api/products", "POST", one, **root) for one in sent]

        answers = at_once(jobs)

        assert {answer.status for answer in answers} == {201}
        ids = {answer.json["data"]["id"] for answer in answers}
        found, known = stored(sql)
        assert {(word, id) for word in words for id in ids} <= found
        assert set(words) <= known


@pytest.mark.slow
def test_names_that_change_back_and_forth_at_once_leave_the_words_of_the_last_one(boss, sql, make):
    real, root = boss
    id = make.product("Start Here")
    names = ["Alpha Beta", "Beta Gamma", "Gamma Alpha"] * 5

    answers = at_once(
        [lambda name=name: real.request(f"/api/products/{id}", "PUT", {"name": name}, **root) for name in names]
    )

    assert {answer.status for answer in answers} == {200}
    (product,) = sql("SELECT name FROM products")
    assert stored(sql)[0] == {(word, id) for word in product["name"].lower().split()}


# What was perhaps meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lampp", "lamp"),  # one more
        ("llamp", "lamp"),
        ("lmp", "lamp"),  # one less
        ("eadphones", "headphones"),
        ("lomp", "lamp"),  # another one
        ("pamp", "lamp"),
        ("lapm", "lamp"),  # neighbours swapped
        ("almp", "lamp"),
        ("LAMPP", "lamp"),
        ("dsek lamp", "desk lamp"),
        ("lamp dsek", "lamp desk"),
        ("dsek lampp", "desk lamp"),
        ("caffe", "café"),
        ("kitchn", "kitchen"),  # a category
        ("deks!", "desk"),
    ],
)
def test_where_nothing_is_found_a_word_one_letter_away_is_what_was_meant(sell, suggest, make, typed, meant):
    make.category("Kitchen & Bath")
    sell(*NAMES)

    assert suggest(typed, whole=True) == {"suggestions": [], "did_you_mean": meant}
    assert suggest(meant)


@pytest.mark.parametrize(
    "typed",
    [
        "lam",  # is found
        "lamppp",  # two letters
        "hedphnes",
        "xy",
        "la",
        "desk tabel",  # no name has both
        "dsek lampp wierless",  # three words
        "lamp zzzz",
        "x" * 100,
    ],
)
def test_where_something_is_found_or_nothing_is_near_nothing_else_was_meant(sell, suggest, typed):
    sell(*NAMES)

    assert suggest(typed, whole=True)["did_you_mean"] is None


def test_a_number_is_never_another_number(sell, suggest):
    sell("Phone 115", "Phone A12")

    assert suggest("125", whole=True)["did_you_mean"] is None
    assert suggest("1115", whole=True)["did_you_mean"] is None
    assert suggest("151", whole=True)["did_you_mean"] is None
    assert suggest("phome 115", whole=True)["did_you_mean"] == "phone 115"


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Холодильник", "Холадильник"),
        ("Λάμπα", "λαμπ\u03ac\u03b1"),
        ("מנורה", "מנוה"),
        ("โคมไฟ", "โคไฟ"),
        ("مصباح", "مصبح"),
    ],
)
def test_letters_of_other_scripts_are_letters(sell, suggest, name, typed):
    sell(name)

    assert suggest(typed, whole=True) == {"suggestions": [], "did_you_mean": name.lower()}


def test_a_word_that_no_product_has_any_more_was_not_meant(client, root, sell, suggest, sql):
    sell("Lamp")
    (id,) = sell("Lump")
    client.delete(f"/api/products/{id}", headers=root)

    assert "lump" in stored(sql)[1]
    assert suggest("lymp", whole=True)["did_you_mean"] == "lamp"
    assert suggest("lump", whole=True)["did_you_mean"] == "lamp"
    assert suggest("lu") == []


def test_words_that_no_product_has_any_more_do_not_stand_before_those_that_products_have(sell, suggest, sql):
    sell("Desk Lamp")
    dead = ", ".join(f"('la{number:03}')" for number in range(100))
    sql(f"INSERT INTO known_words (word) VALUES {dead}")

    assert suggest("la") == ["Desk Lamp"]
    assert suggest("la050", whole=True) == {"suggestions": [], "did_you_mean": None}


def test_of_several_words_the_one_of_the_newest_product_was_meant(sell, suggest):
    sell("Lamp", "Lump")
    assert suggest("lomp", whole=True)["did_you_mean"] == "lump"

    sell("Red Lamp")
    assert suggest("lomp", whole=True)["did_you_mean"] == "lamp"


@pytest.mark.parametrize(
    ("search", "meant"), [("lampp", "lamp"), ("dsek lamp", "desk lamp"), ("zzzz", None), ("deskk qqqqq", None)]
)
def test_a_search_that_finds_nothing_says_what_was_perhaps_meant(client, sell, search, meant):
    sell(*NAMES)

    data = client.get("/api/products", {"search": search}).json["data"]

    assert (data["items"], data["pagination"]["total"], data["did_you_mean"]) == ([], 0, meant)
    assert meant is None or client.get("/api/products", {"search": meant}).json["data"]["items"]


@pytest.mark.parametrize("query", ["search=lamp", "", "search=", "search=lampp&ids=1", "max_price=1"])
def test_a_list_that_is_no_search_or_finds_something_does_not(client, sell, query):
    sell(*NAMES)

    assert "did_you_mean" not in client.get(f"/api/products?{query}").json.get("data", {})


def test_a_search_that_only_its_filters_leave_empty_was_meant_as_it_is(client, sell):
    sell(*NAMES)

    assert client.get("/api/products?search=lamp&max_price=1").json["data"]["did_you_mean"] is None


def plainly_away(word, other):
    """Whether two words are one letter away, by the definition."""
    if len(word) == len(other):
        wrong = [n for n in range(len(word)) if word[n] != other[n]]
        swapped = len(wrong) == 2 and wrong[1] == wrong[0] + 1 and word[wrong[0]] == other[wrong[1]]
        return len(wrong) == 1 or (swapped and word[wrong[1]] == other[wrong[0]])
    short, long = sorted((word, other), key=len)
    return len(long) == len(short) + 1 and any(long[:n] + long[n + 1 :] == short for n in range(len(long)))


def test_the_spellings_of_a_word_are_all_that_is_one_letter_away_and_nothing_else():
    for word in ("lamp", "aab", "abab", "zoo"):
        found = spellings_of(word)

        assert all(plainly_away(word, other) for other in found)
        assert len(found) == len(set(found))
        letters = "abcdefghijklmnopqrstuvwxyz"
        assert {word[:2] + letter + word[3:] for letter in letters} - {word} <= set(found)
        assert {letter + word for letter in letters} | {word + letter for letter in letters} <= set(found)


@pytest.mark.parametrize("word", ["x" * 40, "ж" * 40, "ก" * 40, "한" * 40, "漢" * 40, "ab", ""])
def test_there_are_never_too_many_spellings(word):
    assert len(spellings_of(word)) <= MOST_SPELLINGS


# The route


@pytest.mark.parametrize("typed", ["", "   ", "\t"])
def test_what_is_blank_has_no_suggestions(sell, suggest, typed):
    sell(*NAMES)

    assert suggest(typed, whole=True) == {"suggestions": [], "did_you_mean": None}


@pytest.mark.parametrize("query", ["", "?q=" + "x" * 101, "?q=a&q=b", "?q=a&limit=3"])
def test_what_cannot_be_asked_is_refused(client, query):
    refused = client.get(f"/api/products/suggest{query}")

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["field"] in ("q", "limit")


def test_a_product_is_still_shown_by_its_number_beside_it(client, sell):
    (id,) = sell("Desk Lamp")

    assert client.get(f"/api/products/{id}").json["data"]["name"] == "Desk Lamp"
    assert client.get("/api/products/suggests").status_int == 404
    assert client.post("/api/products/suggest").status_int == 405


def test_an_answer_from_memory_is_voided_by_every_change_of_a_name(accounts, sql, wired, make):
    app = wired(dataclasses.replace(SETTINGS, cache_ttl=60))
    register(app, "keeper")
    sql("UPDATE users SET role = 'admin'")
    root = bearer(login(app, "keeper"))

    def ask():
        answer = app.get("/api/products/suggest?q=lam")
        return [row["name"] for row in answer.json["data"]["suggestions"]], "Age" in answer.headers

    seen = [ask()]
    made = app.post_json("/api/products", {"name": "Lamp", "price": 1}, headers=root).json["data"]["id"]
    seen.append(ask())
    app.put_json(f"/api/products/{made}", {"name": "Lama"}, headers=root)
    seen.append(ask())
    app.post_json("/api/categories", {"name": "Lamps"}, headers=root)
    seen.append(ask())
    app.delete(f"/api/products/{made}", headers=root)
    seen.append(ask())

    assert seen == [([], True), (["Lamp"], True), (["Lama"], True), (["Lamps", "Lama"], True), (["Lamps"], True)]


def rows_read(database):
    """Return how many rows the server has read for this connection."""
    database._cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(row["Value"]) for row in database._cursor.fetchall())


@pytest.mark.slow
def test_what_is_read_does_not_grow_with_the_catalogue(sql, accounts, database):
    """Rows that the server reads for a suggestion, of 2,000 and of 8,000 products alike."""
    texts = ("l", "la", "lamp", "desk lamp", "lamp zebra", "black lamp", "lampp", "lam x 1")
    reads = []
    for count in (2000, 8000):
        execute(accounts.owner, "DELETE FROM product_words")
        execute(accounts.owner, "DELETE FROM known_words")
        execute(accounts.owner, "DELETE FROM products")
        rows = ", ".join(f"('{('Desk', 'Floor')[n % 2]} Lamp {n}, Black', 1)" for n in range(count))
        sql(f"INSERT INTO products (name, price) VALUES {rows}, ('Zebra', 1)")
        ids = "[" + ",".join(str(row["id"]) for row in sql("SELECT id FROM products")) + "]"
        database.run("products/add_words", ids=ids)
        database.run("products/add_known_words", ids=ids)
        database.commit()
        sql("ANALYZE TABLE products, product_words, known_words")
        for text in texts:
            before = rows_read(database)
            suggestions(database, text)
            did_you_mean(database, text)
            reads.append((text, count, rows_read(database) - before))

    assert max(rows for _, _, rows in reads) < 4500, reads
    for (text, _, few), (_, _, many) in zip(reads[: len(texts)], reads[len(texts) :], strict=True):
        assert many < 1.1 * few + 100, (text, few, many)


def test_of_words_that_no_product_has_any_more_only_the_first_are_stepped_over(sql, database):
    """One takes 2 µs, and an import with serial numbers in its names may leave any number of them."""
    words = ", ".join(f"('vqz{number}')" for number in range(10_000, 16_000))
    sql(f"INSERT INTO known_words (word) VALUES {words}")
    before = rows_read(database)

    found = suggestions(database, "vqz")

    sql("DELETE FROM known_words WHERE word >= 'vqz1' AND word < 'vqz2'")
    assert found == []
    assert rows_read(database) - before < 4500
