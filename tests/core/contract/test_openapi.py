"""The API document: valid, as strict as what checks the requests, and true of a running shop."""

import functools
import io
import itertools
import json
import pathlib
import random
import re
import subprocess
import sys
from decimal import Decimal

import jsonschema_rs
import pytest
from bottle import Bottle
from helpers import SECRET, as_url
from jsonschema import Draft202012Validator, exceptions, validators
from openapi_spec_validator import OpenAPIV31SpecValidator

from core.app import app
from core.contract import json_schema, openapi
from core.contract.request_body import LARGEST_BODY, json_of, parsed
from core.contract.validation import Body
from core.errors import MalformedJson, ValidationError
from core.identity.auth import ADMIN, OWNER, PUBLIC, USER, Tokens
from resources.orders_rules import ORDER_TOKEN, PATH

DOCUMENTS = 2000  # for each schema
TESTS = pathlib.Path(__file__).parents[2]
ROUTES = [route for route in app.routes if not route.config.get("hidden")]
BODIES = {f"{route.method} {route.rule}": route.config["body"] for route in ROUTES if route.config.get("body")}


@pytest.fixture(scope="module")
def document():
    """The document, as a client gets it."""
    return json.loads(openapi.text(app))


def test_the_document_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_is_in_the_document_under_a_name_of_its_own(document):
    operations = [operation for path in document["paths"].values() for operation in path.values()]

    assert len(operations) == len(ROUTES)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_names_are_those_of_methods_in_clients_and_tags_stand_in_a_shoppers_order(document):
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = {operation["operationId"] for operation in operations}

    assert {"listProducts", "importProducts", "addCartItem", "addCartItemBySessionId", "login", "getAccount"} <= ids
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", id) for id in ids)
    tags = [tag["name"] for tag in document["tags"]]
    shoppers, administrators = ["Shop", "Products", "Categories", "Cart", "Orders", "Accounts"], ["Audit", "Outbox"]
    assert tags == [*shoppers, *administrators, "Webhooks", "Reports", "Service"]
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}


def test_no_schema_divides_numbers_which_refuses_19_99_where_they_are_binary(document):
    assert "multipleOf" not in json.dumps(document)


RULES = [{"contains": "x"}, {"forbidden": ["x"]}, {"check_with": lambda *_: None}]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: next(iter(rule)))
def test_a_rule_that_the_document_cannot_express_stops_the_start(rule):
    bare = Bottle()

    @bare.post("/api/odd", auth="public", body=Body(odd={"type": "string", "maxlength": 9, **rule}))
    def odd(body):
        """Take something odd."""

    with pytest.raises(json_schema.Unmapped, match=next(iter(rule))):
        openapi.document(bare)


# As strict as what checks: one verdict by cerberus and by JSON Schema


def _pattern(validator, pattern, instance, schema):
    if validator.is_type(instance, "string") and not ecma(pattern).is_valid(instance):
        yield exceptions.ValidationError(f"{instance!r} does not match {pattern}")


@functools.cache
def ecma(pattern):
    """Return what matches as JSON Schema has it: in ECMA-262, where `$` and `\\s` are not what they are in Python."""
    return jsonschema_rs.validator_for({"pattern": pattern})


def _integer(checker, instance):
    return not isinstance(instance, bool) and isinstance(instance, int | Decimal) and instance == int(instance)


# jsonschema, by the letter: numbers are decimal, and no binary fractions (so it is fed with `exact`).
Exact = validators.extend(
    Draft202012Validator,
    {"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _integer),
)


def exact(text):
    """Return a JSON text's value with every number as it is written."""
    return json.loads(text, parse_float=Decimal)


def validator_of(schema, parts):
    """Return what validates by a schema that refers to these parts."""
    return Exact(exact(json.dumps({**schema, "components": {"schemas": parts}})))


ANYTHING = [
    *("null", "true", "false", "0", "1", "-1", "-0", "1.0", "-0.0", "1e2", "1E-2", "1.10", "0.1", "0.001", "19.99"),
    *("0.57", "1.005", "0.1000000000000000055", "2147483647", "2147483648", "9007199254740993", "1" + "0" * 30),
    *("1e300", "-1e300", "99999999.99", "99999999.991", "100000000", '""', '" "', '"1"', '"true"', '"null"', '"a\\n"'),
    *('"\\u0000"', '"é"', '"e\\u0301"', '"😀"', '"\\ud83d\\ude00"', '"<b>"', '"a\'; --"', '"/a.jpg"', '"/a b"'),
    *('"\\u3000"', '"\\ufeff"', '"\\u00a0x"', '"\\u0085"', '"x\\u2028"', '"\\t"', '"١"', '"ſ"'),
    *('"http://a.example/x.png"', '"https://a.example"', '"ftp://a.example"', '"javascript:alert(1)"', '"//a"'),
    *("[]", "[1]", '["a"]', "[[[]]]", "[null]", "{}", '{"a": 1}', '{"a": {"b": [{}]}}', '{"id": 1, "name": "a"}'),
]


def numbers_near(bound, step):
    """Return JSON texts at a bound and on both sides of it, as whole numbers and as fractions."""
    near = [Decimal(str(bound)) + step * away for away in (-1, 0, 1)]
    return [str(number) for number in near] + [f"{int(number)}.0" for number in near if number == int(number)]


def texts_near(length):
    """Return JSON texts of a length and on both sides of it; a character beyond the first plane counts as one."""
    sizes = sorted({max(0, length + away) for away in (-1, 0, 1)})
    return [json.dumps(char * size, ensure_ascii=False) for size in sizes for char in "aé😀 "]


def spoiled(text):
    """Return JSON texts of a text and of what is nearly it."""
    return [json.dumps(variant) for variant in (text, text + "\n", "\n" + text, text + " ", text + "é", text * 30, "")]


def values(rules):
    """Return JSON texts to try for a field: at the bounds of its rules, around its example, and anything else."""
    found = list(ANYTHING)
    for rule in ("min", "max"):
        if rule in rules:
            found += numbers_near(rules[rule], Decimal(1)) + numbers_near(rules[rule], Decimal("0.01"))
            found += numbers_near(rules[rule], Decimal("0.001"))
    for rule in ("minlength", "maxlength"):
        if rule in rules:
            found += texts_near(rules[rule])
    for length in map(int, re.findall(r"(?<=[{,])[0-9]+(?=[,}])", rules.get("regex", ""))):
        found += texts_near(length) + spoiled("a" * length)
    for text in (rules.get("meta", {}).get("example"), *rules.get("allowed", ())):
        found += spoiled(text) if isinstance(text, str) else [json.dumps(text)]
    if "each" in rules:
        items = list(itertools.islice(bodies(rules["each"], random.Random("each")), 300))
        found += [f"[{', '.join(items[at : at + length])}]" for length in (1, 2) for at in range(0, 300, length)]
        good = next(item for item in items if not refused(item, rules["each"]))
        lengths = {max(0, rules[bound] + away) for bound in ("minlength", "maxlength") for away in (-1, 0, 1)}
        found += [f"[{', '.join([good] * length)}]" for length in sorted(lengths)]
    if rules["type"] == "amount":  # two things a schema cannot say: no exponent, and how many decimals
        too_fine = rf"-?[0-9]+\.[0-9]{{{rules['places']}}}0*[1-9]"
        found = [text for text in found if not re.match(rf"-?[0-9.]+[eE]|{too_fine}", text)]
    return found


def bodies(schema, draw):
    """Yield JSON texts of objects: mostly nearly right, some hopeless."""
    pools = {name: values(rules) for name, rules in schema.fields.items()}
    good = {name: [text for text in pool if not fails(name, text, schema)] for name, pool in pools.items()}
    strangers = ["x", "id", "role", "", "__proto__", "😀", *(n.upper() for n in pools), *(n + " " for n in pools)]
    for _ in range(DOCUMENTS):
        care = draw.choice([0.98, 0.9, 0.5])
        fields = {}
        for name, rules in schema.fields.items():
            if draw.random() < (0.97 if rules.get("required") else 0.6):
                fields[name] = draw.choice(good[name] if draw.random() < care else pools[name])
        if draw.random() > care:
            fields[draw.choice(strangers)] = draw.choice(ANYTHING)
        names = draw.sample(list(fields), len(fields))
        text = "{" + ", ".join(f"{json.dumps(name)}: {fields[name]}" for name in names) + "}"
        if len(text.encode()) <= LARGEST_BODY:
            yield text


def fails(name, text, schema):
    """Whether this value of this field is refused, whatever is said of the others."""
    return name in refused(f'{{"{name}": {text}}}', schema)


def refused(text, schema):
    """Return the fields for which the shop refuses a body."""
    raw = text.encode()
    environ = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(raw)), "wsgi.input": io.BytesIO(raw)}
    try:
        schema.check(parsed(json_of(environ)))
    except ValidationError as error:
        return {problem["field"] for problem in error.details["errors"]}
    except MalformedJson:
        return {None}
    return set()


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_taken_exactly_if_its_schema_in_the_document_takes_it(name):
    schema, parts = BODIES[name], {}
    forms = json_schema.body_schemas(schema, parts)
    described = validator_of({"oneOf": list(forms.values())}, parts)
    counts, disagreements = {True: 0, False: 0}, []

    for text in bodies(schema, random.Random(name)):
        taken = not refused(text, schema)
        counts[taken] += 1
        if described.is_valid(exact(text)) != taken:
            disagreements.append((text, "taken" if taken else "refused"))

    assert disagreements[:3] == []
    assert min(counts.values()) > DOCUMENTS / 10, counts


# True of a running shop

# These end the session that they are asked with: each has a token of its own.
ENDING = ("deleteAccount", "logout", "endOwnSession", "endSessions")
# No random request succeeds here: a token, a signature, a total that fits, or an order in the right state are needed.
OUT_OF_REACH = {
    "POST /api/orders",
    "POST /api/orders/<number:order>/fulfil",
    "POST /api/orders/<number:order>/payments",
    "POST /api/orders/<number:order>/payments/<id:id>/capture",
    "POST /api/orders/<number:order>/refunds",
    "POST /api/outbox/<id:id>/retry",
    "POST /api/payments/<name:provider>/webhook",
    "POST /api/users/password-reset/confirm",
}


@pytest.fixture
def stocked(start, accounts, make, sql):
    """A real server with what is found by the ids that are tried first; `token(role)` is the only account's."""
    for table in ("categories", "products", "cart_items", "webhooks"):
        sql(f"ALTER TABLE {table} AUTO_INCREMENT = 1")
    category = make.category()
    make.products(5, category_id=category)
    token_hash = Tokens(SECRET, 1, 1).hash(ORDER_TOKEN["meta"]["example"])
    sql(
        "INSERT INTO orders (number, token_hash, currency, total, item_count) VALUES (%s, %s, 'EUR', 1, 1)",
        [PATH["examples"][0], token_hash],
    )
    real = start("--workers", "1", "--threads", "4", RATE_LIMITS="off", DATABASE_URL=as_url(accounts.application))

    def token(role):
        sql("DELETE FROM users")
        for table in ("users", "sessions"):
            sql(f"ALTER TABLE {table} AUTO_INCREMENT = 1")  # so that its own ids are tried
        who = {"username": "somebody", "email": "somebody@shop.example", "password": "Correct-Horse-7"}
        assert real.request("/api/users/register", "POST", who).status == 201
        sql("UPDATE users SET role = %s", [role])
        del who["email"]
        return real.request("/api/users/login", "POST", who).json["data"]["token"]

    real.token = token
    return real


def fuzz(real, folder, *options):
    """Let schemathesis send what it thinks of; return its report and the shop's if it found anything, else None."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "schemathesis.toml")]
    words = [*program, "run", real.url + "/api/openapi.json", *options]
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    return run.stdout + run.stderr + real.log[-20_000:] if run.returncode else None


def succeeded(real):
    """Return the routes that have answered with a success, as "GET /api/products/<id:id>"."""
    lines = set(re.findall(r" method=(\w+) path=(\S+) status=2", real.log))
    rules = {route: re.compile(re.sub("<[^>]*>", "[^/]+", route.rule) + r"\Z") for route in ROUTES}
    return {
        f"{route.method} {route.rule}"
        for route, rule in rules.items()
        if any(method == route.method and (path == route.rule or rule.match(path)) for method, path in lines)
    }


@pytest.mark.slow
@pytest.mark.parametrize("role", ["nobody", "customer", "admin"])
def test_whatever_is_sent_the_answer_is_one_that_the_document_describes(stocked, role, tmp_path):
    others = [word for name in ENDING for word in ("--exclude-operation-id", name)]
    known = {PUBLIC, *({USER, OWNER} if role != "nobody" else ()), *({ADMIN} if role == "admin" else ())}

    alone = [["--include-operation-id", name] for name in ENDING]  # each ends the login that it is sent with
    for choice in (others, *alone) if role != "nobody" else ([],):
        who = [] if role == "nobody" else ["--header", f"Authorization: Bearer {stocked.token(role)}"]
        found = fuzz(stocked, tmp_path, "--phases", "examples,coverage,fuzzing", *choice, *who)
        assert found is None, found

    reached = succeeded(stocked)
    assert " level=error " not in stocked.log
    assert {f"{route.method} {route.rule}" for route in ROUTES if route.config["auth"] not in known} & reached == set()
    missed = {f"{route.method} {route.rule}" for route in ROUTES if route.config["auth"] in known} - reached
    assert len(missed - OUT_OF_REACH) <= 2, missed  # random requests find their way nearly everywhere


@pytest.mark.parametrize(
    ("code", "promised"), [("CartChanged", {"cart"}), ("OrderState", {"status", "payment_status"})]
)
def test_what_an_error_says_for_a_program_is_described(document, code, promised):
    schemas = document["components"]["schemas"]
    details = schemas[f"{code}Details"]

    assert schemas[f"{code}Error"]["properties"]["details"]["$ref"].endswith(f"/{code}Details")
    assert set(details["properties"]) == set(details["required"]) == promised
    examples = [
        example["value"]["error"]["details"]
        for response in document["components"]["responses"].values()
        for name, example in response["content"]["application/json"]["examples"].items()
        if name.replace("_", "") == code.upper()
    ]
    validator = Draft202012Validator({**details, "components": {"schemas": schemas}})
    assert examples and all(validator.is_valid(example) for example in examples)


def test_what_is_answered_with_304_says_that_it_takes_if_none_match():
    document = json.loads(openapi.text(app))
    known = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            takes = {"$ref": "#/components/parameters/If-None-Match"} in operation.get("parameters", [])
            known[method, path] = takes, "304" in operation["responses"]

    assert known["get", "/api/products"] == known["get", "/api/products/{id}"] == (True, True)
    assert known["get", "/api/cart"] == (False, False)
    assert all(takes == answers for takes, answers in known.values())
