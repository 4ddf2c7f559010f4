"""The API document → requests.http: every request, in the order of a shopper's life, to be sent from the editor.

It is for the extension REST Client of VS Code (humao.rest-client): a named request's answer gives the next ones their
token, session and ids. Bodies are the document's examples.
"""

import json
import re

from core.envelope import JSON

HEAD = """\
# Every request of {title}, to be sent from VS Code with the extension REST Client (humao.rest-client): from the top
# to the bottom, since later requests take token, session and ids from earlier answers.
# Made from the API document: python3 server.py openapi --http > requests.http

@host = http://127.0.0.1:8080

# An administrator, for the last part: register the account, then python3 server.py admin NAME.
@admin = keeper
@password = Blue-Door-42
"""
LIFE = {  # what is not named here stands in the last part
    "The service": ("service_health", "service_ready", "service_describe"),
    "The catalogue": ("categories_index", "categories_show", "products_index", "products_show"),
    "The cart, by header": ("cart_open_cart", "cart_add", "cart_show", "cart_change", "cart_remove"),
    "The cart, by path": (
        "cart_add_by_session_id",
        "cart_show_by_session_id",
        "cart_change_item",
        "cart_remove_item",
        "cart_clear_by_session_id",
        "cart_clear",
    ),
    "The account": ("users_register", "users_login", "users_me", "users_show", "users_update", "users_logout"),
}
REST = "Administration"
ADMIN_LOGIN = """\
### Log in as an administrator
# @name administrator
POST {{host}}/api/users/login
Content-Type: application/json

{
  "username": "{{admin}}",
  "password": "{{password}}"
}
"""
METHODS = ("post", "get", "put", "delete")  # in this order something is made, looked at, changed and removed
FROM = {  # name of a parameter or field, for `id` with the tag before it → what it is taken from
    "Session-ID": "cart_open_cart.response.body.$.data.session_id",
    "session_id": "cart_open_cart.response.body.$.data.session_id",
    "item_id": "cart_add_by_session_id.response.body.$.data.id",
    "product_id": "products_index.response.body.$.data.items[0].id",
    "category_id": "categories_index.response.body.$.data[0].id",
    "products id": "products_index.response.body.$.data.items[0].id",
    "categories id": "categories_index.response.body.$.data[0].id",
    "users id": "users_login.response.body.$.data.user.id",
}
OWN = {  # the same for administrators: what they made
    "products id": "products_create.response.body.$.data.id",
    "categories id": "categories_create.response.body.$.data.id",
}
QUERIES = {"products_index": "?in_stock=true&sort=price"}
LOGINS = {False: "users_login", True: "administrator"}  # by whether it stands in the last part


def text(document):
    """Return the file. Every operation of the document is in it once."""
    operations = {
        operation["operationId"]: (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    parts = [HEAD.format(title=document["info"]["title"])]
    for part, names in LIFE.items():
        parts.append(_heading(part))
        parts += [_request(*operations.pop(name), FROM, LOGINS[False]) for name in names if name in operations]
    parts += [_heading(REST), ADMIN_LOGIN]
    rest = sorted(operations.values(), key=lambda found: (METHODS.index(found[0]), found[1]))
    last = [found for found in rest if found[0] == "delete"]
    # A category goes after its products, what belongs to something before that.
    last.sort(key=lambda found: (found[2]["tags"] == ["categories"], -found[1].count("/")))
    for found in [found for found in rest if found not in last] + last:
        parts.append(_request(*found, FROM | OWN, LOGINS[True]))
    return "\n".join(parts)


def _heading(part):
    return f"### {'-' * 20} {part} {'-' * (94 - len(part))}\n"  # after a body only ### ends it


def _request(method, path, operation, sources, login):
    tag = operation["tags"][0]
    parameters = operation.get("parameters", [])

    def taken(name):
        return "{{" + sources.get(f"{tag} {name}", sources.get(name, "")) + "}}"

    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", taken(parameter["name"]))
    lines = [f"### {operation['summary']}", f"# @name {operation['operationId']}"]
    for where in ("query", "header"):
        if optional := [p["name"] for p in parameters if p["in"] == where and not p["required"]]:
            lines.append(f"# {where}: {', '.join(optional)}")
    lines.append(f"{method.upper()} {{{{host}}}}{path}{QUERIES.get(operation['operationId'], '')}")
    lines += [f"{p['name']}: {taken(p['name'])}" for p in parameters if p["in"] == "header" and p["required"]]
    if "security" in operation:
        lines.append(f"Authorization: Bearer {{{{{login}.response.body.$.data.token}}}}")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        lines += [f"Content-Type: {media}", "", _body(media, content, operation, taken)]
    return "\n".join(lines) + "\n"


def _body(media, content, operation, taken):
    """Return the example, with ids from earlier answers, and with a new name where a name may be taken."""
    if media != JSON:
        return "\n".join(content["schema"]["examples"][0].splitlines())
    example = dict(content.get("example", {}))
    if "409" in operation["responses"] and "name" in example:
        example["name"] += " {{$timestamp}}"
    body = json.dumps(example, indent=2, ensure_ascii=False)
    for name in example:
        if name in FROM:
            body = re.sub(rf'(?<="{name}": )[^,\n]+', lambda _, name=name: taken(name), body)
    return body
