"""What shoppers ask for: learned from the shop itself, and put into requests in the mix of a shop's day.

Used by `bench`. Nothing is taken from the database, so that what is asked for is what a browser could have seen.
"""

import collections
import http.client
import itertools
import json
import random
import re
import secrets
from urllib.parse import urlencode, urlsplit

from core.system import Stop

MIX = {"lists": 60, "products": 20, "carts": 15, "adds": 5}  # of a hundred requests
LISTS = {  # of a hundred lists
    "first": 25,
    "deeper": 15,
    "category": 20,
    "category_price": 10,
    "sorted": 10,
    "in_stock": 5,
    "search": 10,
    "search_facets": 2,
    "category_facets": 3,
}
PREPARED = 1000  # requests of each kind, with the popular ones several times among them
LINES = 4  # products that a shopper puts into a cart before the next one comes
DEEPEST = 6  # pages that are followed by their cursors, for each order
CATEGORIES = 12  # whose products are looked at beforehand
PATIENCE = 10  # seconds for one answer
LIMITED = "Its rate limits refuse this address: start it with RATE_LIMITS=off."


class Shop:
    """The shop at an address, asked one thing at a time. Raises Stop with a sentence where it does not answer so."""

    def __init__(self, url):
        self.url = url
        self.host, self.port = address_of(url)
        self.name = urlsplit(url).netloc  # for the header Host
        self._connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def data(self, path, method="GET", body=None, **headers):
        """Return the `data` of a successful answer."""
        status, document = self._ask(method, path, body, headers)
        if not isinstance(document, dict) or not isinstance(document.get("success"), bool):
            raise Stop(
                f"What answers at {self.url} is not this shop: {method} {path} gave {status} without its envelope. "
                "Name the shop's address with --url."
            )
        if not document["success"]:
            said = document.get("error", {}).get("message", "")
            hint = f" {LIMITED}" if status == 429 else ""
            raise Stop(
                f"The shop at {self.url} cannot be measured: {method} {path} gave {status}. It said: {said}{hint}"
            )
        return document["data"]

    def _ask(self, method, path, body, headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            body, given = json.dumps(body), given | {"Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, given)
            with self._connection.getresponse() as answer:
                status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            said = "it does not speak HTTP" if isinstance(error, http.client.HTTPException) else said_of(error)
            raise Stop(f"No shop answers at {self.url} ({said}). Start it: python3 server.py") from None
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None


def said_of(error):
    """Return what an OSError is about, in a few words."""
    return error.strerror or str(error) or type(error).__name__


def address_of(url):
    """Return (host, port) of http://host:port; raise Stop for anything else."""
    wanted = f"--url is {url!r}; wanted is the shop's own address, such as http://127.0.0.1:8080."
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        raise Stop(wanted, code=2) from None
    if parts.scheme == "https":
        raise Stop(f"--url is {url!r}: the shop itself speaks http, and what is in front of it is not measured.", 2)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise Stop(wanted, code=2)
    return parts.hostname, port


class Mix:
    """The requests of a run. `walk(n)` yields what the shopper on connection n sends; the same seed, the same walk."""

    def __init__(self, shop, seed):
        chance = random.Random(seed)  # noqa: S311 - wanted is what can be repeated
        seen = learn(shop)
        self.seed = seed
        self.host = shop.name
        self.run = f"bench-{secrets.token_hex(4)}"  # its carts are its own, also beside a run with the same seed
        self.products_total = seen.total
        self.stocked = [item["id"] for item in seen.items if item["stock_quantity"] > 0]
        if not self.stocked:
            raise Stop("Nothing that the shop lists is in stock, so nothing can go into a cart: python3 server.py seed")
        chance.shuffle(self.stocked)
        self.order = [kind for kind, share in MIX.items() for _ in range(share)]
        chance.shuffle(self.order)
        self.lists = [self.get(path) for path in list_paths(seen, chance)]
        ids = [item["id"] for item in seen.items]
        chance.shuffle(ids)
        self.products = [self.get(f"/api/products/{id}") for id in popular(ids, chance, PREPARED)]

    def get(self, path, session=None):
        """Return a GET as bytes."""
        return self._request("GET", path, session)

    def add(self, session, product):
        """Return the request that puts one piece of a product into a cart, as bytes."""
        body = f'{{"product_id":{product},"quantity":1}}'
        return self._request("POST", "/api/cart/items", session, body)

    def empty(self, session):
        """Return the request that empties a cart, as bytes."""
        return self._request("DELETE", "/api/cart", session)

    def _request(self, method, path, session=None, body=""):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Accept: application/json"]
        lines += [f"Session-ID: {session}"] if session else []
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode("ascii")

    def session(self, number, adds):
        """Return whose cart it is that the shopper on connection `number` fills, having put so many things in carts."""
        return f"{self.run}-{number}-{adds // LINES}"

    def sessions(self, number, adds):
        """Return all carts that were filled by then."""
        return [self.session(number, first) for first in range(0, adds, LINES)]

    def walk(self, number, counts=None):
        """Yield (kind, request) for ever. How many adds there were is kept in `counts[number]`, if given."""
        chance = random.Random(f"{self.seed} {number}")  # noqa: S311
        adds, step = 0, len(self.stocked) // 7 + 1  # so that shoppers do not all want the same product at once
        order = itertools.cycle(self.order)
        for kind in itertools.islice(order, chance.randrange(len(self.order)), None):
            if kind == "lists":
                yield kind, chance.choice(self.lists)
            elif kind == "products":
                yield kind, chance.choice(self.products)
            elif kind == "carts":
                yield kind, self.get("/api/cart", self.session(number, max(adds - 1, 0)))
            else:
                request = self.add(self.session(number, adds), self.stocked[(number * step + adds) % len(self.stocked)])
                adds += 1
                if counts is not None:
                    counts[number] = adds
                yield kind, request


def popular(things, chance, count):
    """Return `count` of these, the first ones more often: the n-th has a share of 1/n, as Zipf's law has it."""
    return chance.choices(things, [1 / n for n in range(1, len(things) + 1)], k=count)


Seen = collections.namedtuple("Seen", "total categories items words prices cursors")


def learn(shop):
    """Look around in the shop as a visitor would: its categories, and some of its products; return a Seen.

    `cursors`: [(sort, cursor of a page behind the first)]; `words`: the commonest first.
    """
    shop.data("/api/ready")
    first = shop.data("/api/products?per_page=100")
    total = first["pagination"]["total"]
    if not first["items"]:
        raise Stop(f"The catalogue of the shop at {shop.url} is empty. Fill it: python3 server.py seed")
    categories = [category["id"] for category in shop.data("/api/categories") if category["product_count"]]
    items = {item["id"]: item for item in first["items"]}
    for category in categories[:CATEGORIES]:
        page = shop.data(f"/api/products?category_id={category}&per_page=100")
        items |= {item["id"]: item for item in page["items"]}
    cursors = []
    for sort in ("newest", "price"):
        query, page = {"sort": sort}, 1
        while page < DEEPEST and (after := shop.data(f"/api/products?{urlencode(query)}")["pagination"]["next"]):
            cursors.append((sort, after))
            query, page = {"sort": sort, "after": after}, page + 1
    names = [item["name"] for item in items.values()]
    words = collections.Counter(word.lower() for name in names for word in re.findall(r"[^\W\d_]{3,}", name))
    pairs = collections.Counter(
        pair.lower() for name in names for pair in re.findall(r"[^\W\d_]{3,} [^\W\d_]{3,}", name)
    )
    words = [word for word, _ in (words + pairs).most_common(300)]
    prices = sorted(int(item["price"]) for item in items.values())
    return Seen(total, categories, list(items.values()), words, prices, cursors)


def list_paths(seen, chance):
    """Return the addresses of PREPARED lists, in the shares of LISTS; what a small shop has not gives way."""

    def query(kind):
        low = chance.choice(seen.prices)
        category = popular(seen.categories, chance, 1)[0] if seen.categories else None
        if kind == "deeper" and seen.cursors:
            sort, after = chance.choice(seen.cursors)
            return {"after": after} if sort == "newest" else {"sort": sort, "after": after}
        if kind == "category" and category:
            return {"category_id": category}
        if kind == "category_price" and category:
            return {"category_id": category, "min_price": low, "max_price": max(low + 1, chance.choice(seen.prices))}
        if kind == "category_facets" and category:
            return {"category_id": category, "facets": "true"}
        if kind == "sorted":
            return {"sort": chance.choice(("price", "-price", "name"))}
        if kind == "in_stock":
            return {"in_stock": "true"}
        if kind.startswith("search") and seen.words:
            word = popular(seen.words, chance, 1)[0]
            return {"search": word, "facets": "true"} if kind == "search_facets" else {"search": word}
        return {}

    kinds = [kind for kind, share in LISTS.items() for _ in range(share * PREPARED // 100)]
    return ["/api/products" + (f"?{urlencode(given)}" if (given := query(kind)) else "") for kind in kinds]
