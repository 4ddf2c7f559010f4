"""A typed client: what openapi-typescript makes of the API document, a program that compiles by it, and its visit."""

import json
import pathlib
import re

import pytest
from npm import installed, require_exact_versions, run

CLIENT = pathlib.Path(__file__).parents[2] / "client"
OLDEST = 18  # the node of Debian 12; fetch came with it
WRONG = {  # what is wrong → what of the sample is replaced, by what, and what the compiler says of it
    "a misspelt field": ("product.stock_quantity", "product.stock_quantty", "Did you mean 'stock_quantity'"),
    "a misspelt field of a body": ("quantity: 2 }", "quantty: 2 }", "'quantty' does not exist"),
    "a body without a required field": ("product.id, quantity: 2 }", "product.id }", "'quantity' is missing"),
    "a misspelt header": ('"Session-ID": session_id', '"Session_ID": session_id', "has no properties in common"),
    "a missing path parameter": ("path: { id: first.id }", "path: {}", "'id' is missing"),
    "a sort that does not exist": ('sort: "price"', 'sort: "cheapest"', "'\"cheapest\"' is not assignable"),
    "a value of the wrong type": ("quantity: 2 }", 'quantity: "2" }', "'string' is not assignable to type 'number'"),
    "a status of orders that does not exist": ('status: "placed"', 'status: "open"', "'\"open\"' is not assignable"),
    "an address without its country": (', country: "GB"', "", "Property 'country' is missing"),
    "a path that does not exist": (
        '"/api/users/me"',
        '"/api/users/myself"',
        "is of type 'unknown'",
    ),
    "a field that may be null": (
        'product.description ?? "no description"',
        "product.description.length",
        "is possibly 'null'",
    ),
    "an error without a case": ('case "CART_FULL":', "", "is not assignable to parameter of type 'never'"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The sample in a folder of its own, with its packages and with the types that the document gives."""
    folder = installed("client", tmp_path_factory.mktemp("client"), OLDEST)
    typed = run(folder, "npm", "run", "types")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    return folder


@pytest.fixture(scope="module")
def complaints(project):
    """What the compiler says of each wrong program, by what is wrong."""
    sample = (project / "shopper.ts").read_text(encoding="utf-8")
    names = {about: about.replace(" ", "-") for about in WRONG}
    for about, (right, wrong, _) in WRONG.items():
        assert sample.count(right) == 1, right
        (project / f"{names[about]}.ts").write_text(sample.replace(right, wrong), encoding="utf-8")
    wrong = {"extends": "./tsconfig.json", "files": [f"{name}.ts" for name in names.values()]}
    (project / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    said = run(project, "npx", "tsc", "--noEmit", "--pretty", "false", "--project", "wrong.json").stdout
    return {about: re.findall(rf"^{name}\.ts\(.*\n(?:  .*\n)*", said, re.M) for about, name in names.items()}


@pytest.mark.slow
def test_the_sample_compiles_strictly(project):
    done = run(project, "npm", "run", "check")

    assert done.returncode == 0, done.stdout
    assert '"strict": true' in (project / "tsconfig.json").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("about", WRONG)
def test_a_wrong_program_does_not_compile(complaints, about):
    assert WRONG[about][2] in "".join(complaints[about])


@pytest.mark.slow
def test_the_compiled_sample_shops_and_logs_in(project, served, make):
    make.product("Desk Lamp", price="19.90", stock=5, description="Warm or cool light.")
    make.products(2, price="45.00")
    alice = {"username": "alice", "email": "alice@example.com", "password": "Blue-Door-42"}
    served.request("/api/users/register", "POST", alice)

    built = run(project, "npm", "run", "build")
    visit = run(project, "node", "built/shopper.js", served.url, alice["username"], alice["password"])

    assert (built.returncode, visit.returncode) == (0, 0), built.stdout + visit.stdout + visit.stderr
    assert visit.stdout.splitlines() == [
        "3 products, the cheapest:",
        "  Desk Lamp 19.90",
        "  Product 1 45.00",
        "seen lately: Product 1, Desk Lamp",
        "Desk Lamp: 5 in stock, Warm or cool light.",
        "in the cart: 2 × Desk Lamp = 39.80",
        "999 more: only 3 left",
        "0 more: quantity: Must be a whole number from 1 to 999.",
        "to pay: 39.80",
        "taken out again: 0 lines",
        "logged in: alice <alice@example.com>, customer",
        "ordered: 1 line for 59.70, unpaid",
        "ordered once: true",
        "first try: PAYMENT_DECLINED",
        "paid: 59.70 by dummy, captured",
        "what happened: placed by customer, payment_declined by provider, paid by provider",
        "again: CART_EMPTY",
        "my orders: 59.70 paid",
    ]


def test_the_lock_names_exact_versions_and_no_host():
    asked = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((CLIENT / "package-lock.json").read_text(encoding="utf-8"))

    require_exact_versions(asked, locked)
