"""Words in other forms: the category's name, singular and plural, joined and split; found in every way of searching."""

import pytest
from helpers import execute
from test_products import get, names
from test_products_search import SORTS, everything, way  # noqa: F401 - a fixture

from resources import products_search
from resources.products_typed import forms, searched, words_of

# The category's name


@pytest.mark.parametrize("typed", ["garden", "GARD", "gardens", "garden hose", "hose garden"])
def test_the_categorys_name_counts_as_text_of_the_product(client, make, way, typed):  # noqa: F811
    garden, other = make.category("Garden & Balcony"), make.category("Other")
    make.product("Hose", category_id=garden)
    make.product("Garden hose", category_id=other)
    make.product("Hose", description="For the garden.")
    make.product("Mug", category_id=other)
    make.product("Hose", category_id=garden, is_active=False)

    found = get(client, {"search": typed, "sort": "newest"})

    assert sorted(item["name"] for item in found["items"]) == ["Garden hose", "Hose", "Hose"]
    assert found["pagination"]["total"] == 3


def test_a_word_of_the_category_and_one_of_the_text_make_a_hit_together(client, make, way):  # noqa: F811
    garden = make.category("Garden")
    make.product("Red hose", category_id=garden)
    make.product("Blue hose", category_id=garden)
    make.product("Red mug")

    assert names(client.get("/api/products", {"search": "red garden"})) == ["Red hose"]


def test_words_of_two_categories_make_no_hit_together(client, make, way):  # noqa: F811
    make.product("Hose", category_id=make.category("Garden"))
    make.product("Pan", category_id=make.category("Kitchen"))
    make.product("Garden kitchen")

    assert names(client.get("/api/products", {"search": "garden kitchen"})) == ["Garden kitchen"]


@pytest.mark.parametrize("chosen", ["garden", "other", "both"])
def test_a_filter_by_category_holds_for_hits_by_the_categorys_name(client, make, way, chosen):  # noqa: F811
    garden, other = make.category("Garden"), make.category("Other")
    make.product("Hose", category_id=garden)
    make.product("Garden gnome", category_id=other)
    ids = {"garden": f"{garden}", "other": f"{other}", "both": f"{garden},{other}"}[chosen]
    wanted = {"garden": ["Hose"], "other": ["Garden gnome"], "both": ["Garden gnome", "Hose"]}[chosen]

    data = get(client, {"search": "garden", "category_id": ids, "facets": "true"})

    assert sorted(item["name"] for item in data["items"]) == wanted
    assert sorted(facet["category_name"] for facet in data["facets"]["categories"]) == ["Garden", "Other"]


def test_a_renamed_category_takes_its_products_along(client, make, sql):
    id = make.category("Garden")
    make.product("Hose", category_id=id)

    sql("UPDATE categories SET name = 'Balcony' WHERE id = %s", [id])

    assert names(client.get("/api/products", {"search": "balcony"})) == ["Hose"]
    assert names(client.get("/api/products", {"search": "garden"})) == []


@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
@pytest.mark.parametrize("typed", ["garden", "gardens", "garden thing"])
def test_hits_by_a_category_are_on_one_page_each_wherever_they_stand(client, make, monkeypatch, sort, typed):
    garden = make.category("Garden")
    for n in range(30):
        make.product(
            f"Thing {n % 10}", f"{n * 7 % 30 + 1}.00", category_id=garden, created_at=f"2026-01-01 00:00:{n // 2:02}"
        )
    make.products(5, name="Garden 7", price="15.00", created_at="2026-01-02 00:00:00")
    make.products(60, name="Other", price="0.50", created_at="2027-01-01 00:00:00")
    query = {"search": typed, "sort": sort, "per_page": 4}
    wanted = 35 if "thing" not in typed else 30
    by_index = everything(client, query)[0]
    monkeypatch.setattr(products_search, "COMMON", 0)
    for bound in ("RANKED", "LEAST_READ", "MOST_READ"):
        monkeypatch.setattr(products_search, bound, 5)

    by_reading = everything(client, query)[0]

    assert len(by_index) == wanted
    assert sorted(by_reading) == sorted(by_index)
    if sort != "relevance":
        assert by_reading == by_index


# Singular and plural


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("lamp", "lamps"),
        ("box", "boxes"),
        ("dress", "dresses"),
        ("watch", "watches"),
        ("brush", "brushes"),
        ("potato", "potatoes"),
        ("battery", "batteries"),
        ("toy", "toys"),
        ("knife", "knives"),
        ("shelf", "shelves"),
        ("scarf", "scarves"),
        ("leaf", "leaves"),
        ("shoe", "shoes"),
        ("movie", "movies"),
        ("glove", "gloves"),
        ("tube", "tubes"),
        ("house", "houses"),
        ("café", "cafés"),
        ("woman", "women"),
        ("mouse", "mice"),
    ],
)
def test_english_plurals_find_the_singular_and_the_reverse(client, make, way, one, many):  # noqa: F811
    make.product(f"Fine {one}, blue")
    make.product(f"Two {many.upper()}.")

    assert len(names(client.get("/api/products", {"search": one}))) == 2
    assert len(names(client.get("/api/products", {"search": many}))) == 2


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("cars", "Carpet"),
        ("tubes", "Tub"),
        ("caves", "Café"),
        ("glass", "Glas"),
        ("wireless", "Wireles"),
        ("bus", "Bu"),
    ],
)
def test_a_plural_does_not_find_what_only_begins_like_its_singular(client, make, way, typed, text):  # noqa: F811
    make.product(text)

    assert names(client.get("/api/products", {"search": typed})) == []


@pytest.mark.parametrize("word", ["lens", "jeans", "series", "species", "gas", "news", "scissors", "olives", "s", "es"])
def test_no_rule_makes_an_exact_match_disappear(client, make, way, word):  # noqa: F811
    make.product(f"A {word} b")

    assert names(client.get("/api/products", {"search": word})) == [f"A {word} b"]


def test_forms_are_whole_words_and_never_the_word_itself():
    for word in ("lamps", "boxes", "batteries", "knives", "knife", "battery", "men", "ies", "ves", "İs", "s", "ß", "x"):
        assert word not in forms(word)
        assert all(len(form) > 1 and words_of(form) == [form] for form in forms(word))


# Joined and split


@pytest.mark.parametrize("typed", ["smart-watch", "smart watch", "SMART-WATCHES", "smart/watch"])
def test_a_split_word_finds_the_joined_one(client, make, way, typed):  # noqa: F811
    for name in ("Smartwatch", "Smart watch", "Smart-watch", "Watch, smart", "Smart phone", "Watch"):
        make.product(name)

    found = names(client.get("/api/products", {"search": typed, "sort": "name"}))

    assert found == ["Smart watch", "Smart-watch", "Smartwatch", "Watch, smart"]


def test_each_pair_of_neighbours_may_be_joined(client, make, way):  # noqa: F811
    make.product("Smartwatch strap")
    make.product("Smart watchstrap")
    make.product("Smart strap")

    found = names(client.get("/api/products", {"search": "smart watch strap", "sort": "name"}))

    assert found == ["Smart watchstrap", "Smartwatch strap"]


@pytest.mark.parametrize("typed", ["smartwatch", "SmartWatch", "smartwatches"])
def test_a_joined_word_finds_the_split_one_where_names_have_both_parts(client, make, sql, way, typed):  # noqa: F811
    sql("INSERT INTO known_words (word) VALUES ('smart'), ('watch')")
    for name in ("Smartwatch", "Smart watch", "Two smart-watches", "Smart lamp for a watch", "Watch, smart"):
        make.product(name)

    found = names(client.get("/api/products", {"search": typed, "sort": "name"}))

    assert found == ["Smart watch", "Smartwatch", "Two smart-watches"]


def test_a_word_is_split_only_in_words_that_names_have(client, make, way):  # noqa: F811
    make.product("Smart watch")

    assert names(client.get("/api/products", {"search": "smartwatch"})) == []


@pytest.mark.parametrize("typed", ["wi-fi", "Wi Fi", "wifi"])
def test_parts_too_short_for_the_index_are_found_joined_too(client, make, way, typed):  # noqa: F811
    make.product("WiFi router")
    make.product("Wired router")

    assert "WiFi router" in names(client.get("/api/products", {"search": typed}))
    assert "Wired router" not in names(client.get("/api/products", {"search": typed}))


# The quick test is no short cut to other hits


@pytest.mark.slow
def test_the_quick_test_passes_all_that_the_words_find(client, make, sql, accounts):
    """Texts with each form in each surrounding: what the patterns find, the stem finds too."""
    words = [
        "lamps",
        "glasses",
        "Glasstraße",
        "shoes",
        "Straße",
        "STRASSE",
        "kaese",
        "Käse",
        "oeuvre",
        "snake_case",
        "knives",
        "batteries",
    ]
    for word in searched(words, [[]] * len(words), 3, 84):
        for pattern in word.patterns:
            text = pattern.strip("% ").replace("\\_", "_")
            for shown in {
                text,
                text.replace("ss", "ß"),
                text.replace("oe", "œ"),
                text.replace("ae", "æ"),
                text.upper(),
            }:
                tests = [f"a {shown} b", word.stem, f"a {shown} b", word.quick[0], f"a {shown} b", word.quick[1]]
                (row,) = execute(accounts.owner, "SELECT %s LIKE %s AS stem, %s LIKE %s OR %s LIKE %s AS quick", tests)

                assert row["stem"] and row["quick"], (word.stem, word.quick, shown)
