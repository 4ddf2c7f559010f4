"""Categories, through the wired shop."""


def test_categories_are_listed_by_name_with_what_is_on_sale_in_each(client, make):
    tools, books = make.category("Tools"), make.category("Books", description="To read.")
    make.products(2, category_id=tools)
    make.product(category_id=tools, is_active=0)

    listed = client.get("/api/categories").json["data"]

    assert [(c["name"], c["product_count"], c["description"]) for c in listed] == [
        ("Books", 0, "To read."),
        ("Tools", 2, None),
    ]
    assert set(listed[0]) == {"id", "name", "description", "product_count", "created_at"}
    assert client.get(f"/api/categories/{books}").json["data"] == listed[0]


def test_an_unknown_category_is_not_found(client):
    answer = client.get("/api/categories/77")

    assert answer.status_int == 404
    assert answer.json["error"]["message"] == "There is no such category."
