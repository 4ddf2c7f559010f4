"""The rules of a product's fields, as JSON."""

import json

import pytest
from test_products_changes import NEW, problem, send

BAD = {
    "name": ['""', '" "', '"\\u2003"', '"a\\nb"', '"\\u0000"', '"\\u0085"', '"' + "x" * 256 + '"', "null", "5", "true"],
    "description": ["5", '"a\\u0000"', '"' + "x" * 16001 + '"', "[]"],
    "price": [
        *(
            "0",
            "0.00",
            "-1",
            "0.001",
            "1.005",
            "1e2",
            "1E2",
            "1.5e1",
            "true",
            '"5"',
            "null",
            "100000000",
            "99999999.991",
        ),
        *("[1]", "1" * 4000 + ".5", "0." + "0" * 4000 + "1"),
    ],
    "image_url": [
        *('""', '"x.jpg"', '"ftp://a/b"', '"//evil.example/x"', '"/\\\\evil.example"', '"javascript:alert(1)"'),
        *('"https://"', '"/a b"', '"/a\\n"', '"/' + "x" * 500 + '"', "5"),
    ],
    "category_id": ["0", "-1", "77", "1.5", "2147483647", "2147483648", "9" * 30, '"1"', "true"],
    "stock_quantity": ["-1", "2147483648", "1.5", "true", '"1"', "null", "1e300"],
    "is_active": ["1", "0", '"true"', "null"],
    "colour": ['"red"'],
}


@pytest.mark.parametrize("field", BAD)
def test_a_bad_field_is_named_and_nothing_is_stored_or_told(client, root, sql, make, field):
    id = make.product("Old")

    for written in BAD[field]:
        others = {name: value for name, value in NEW.items() if name != field}
        text = json.dumps(others)[:-1] + f', "{field}": {written}}}'
        for answer in (
            send(client, "POST", "/api/products", text, root),
            send(client, "PUT", f"/api/products/{id}", f'{{"{field}": {written}}}', root),
        ):
            assert problem(answer) == (400, "VALIDATION_ERROR", field), (written, answer.text)
            assert len(answer.json["error"]["details"]["errors"]) == 1
    assert sql("SELECT name FROM products") == [{"name": "Old"}]
    assert sql("SELECT COUNT(*) AS n FROM audit_entries") == [{"n": 0}]


@pytest.mark.parametrize(
    "written", ["0.01", "5", "5.0", "5.10", "19.900", "99999999.99", "1.000000000000000000000000000000000000"]
)
def test_a_price_is_taken_exactly(client, root, sql, written):
    made = send(client, "POST", "/api/products", f'{{"name": "x", "price": {written}}}', root)

    assert made.status_int == 201, made.text
    assert float(sql("SELECT price FROM products")[0]["price"]) == float(written)


@pytest.mark.parametrize("written", ["12.0", "12", "12e0", "1.2e1"])
def test_a_whole_number_is_one_however_it_is_written(client, root, written):
    made = send(client, "POST", "/api/products", f'{{"name": "x", "price": 1, "stock_quantity": {written}}}', root)

    assert made.json["data"]["stock_quantity"] == 12


def test_numbers_beyond_all_bounds_are_malformed(client, root):
    refused = send(client, "POST", "/api/products", '{"name": "x", "price": 1e999}', root)

    assert problem(refused)[:2] == (400, "MALFORMED_JSON")


def test_escapes_and_decimals_go_together(client, root):
    made = send(client, "POST", "/api/products", '{"name": "\\u00e9", "price": 1.50}', root)

    assert made.json["data"]["name"] == "é"


@pytest.mark.parametrize("url", ["/", "/a/b.jpg", "http://a", "HTTPS://Ä.example/ü?x#y", "/" + "x" * 499])
def test_urls_and_paths_are_images(client, root, url):
    assert client.post_json("/api/products", NEW | {"image_url": url}, headers=root).status_int == 201


def test_what_is_missing_is_named(client, root):
    refused = client.post_json("/api/products", {}, headers=root)

    assert [e["field"] for e in refused.json["error"]["details"]["errors"]] == ["name", "price"]
