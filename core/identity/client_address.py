"""The address of a client, behind proxies too."""

import functools
import ipaddress
import re
from typing import Any

from core.config import Network

WITH_PORT = re.compile(r"\A\[(.*)\](:[0-9]+)?\Z|\A([0-9.]+):[0-9]+\Z")  # as some proxies write it
LONGEST = 64  # characters


def client_address(environ: dict[str, Any], trusted: tuple[Network, ...]) -> str:
    """Return the client's address: the connection's, or what a trusted proxy says in X-Forwarded-For.

    Each proxy appends the address that it saw. So the header is read from the right, and the first address that is no
    trusted proxy is the client. Of an IPv6 address the /64 counts, which is what one customer has.
    """
    address = environ.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and _is_trusted(address, trusted):
        address = WITH_PORT.sub(r"\1\3", hops.pop()[:LONGEST])
    return _shortened(address)


def _is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    """Whether a network contains this address, in either form: 10.0.0.1 is ::ffff:10.0.0.1 on a socket for both."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    other = ipaddress.ip_address(f"::ffff:{found}") if found.version == 4 else found.ipv4_mapped
    return any(found in network or (other is not None and other in network) for network in trusted)


@functools.lru_cache(1000)  # to read an address takes 4 µs
def _shortened(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:LONGEST] or "unknown"
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
