"""The address of a webhook: which ones may be named, and which hosts may be connected to.

The shop stands where others cannot reach: what it sends must never arrive in its own network. So an address is read
strictly, by one expression: nothing that two programs could read in two ways. And what a name stands for is judged when
it is connected to (is_public), not when it is stored: it may stand for something else by then.
"""

import ipaddress
import re
from typing import NamedTuple

LONGEST = 1000  # characters, of the column
LONGEST_HOST = 253
PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024  # below are mail, shells, name servers …, which take no webhooks

URL = re.compile(
    r"(?P<scheme>(?i:https?))://"
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:[/?](?:[A-Za-z0-9._~!$&'(),;=:@*+/?-]|%[0-9A-Fa-f]{2})*)?)\Z"
)
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")  # the last part of what some programs read as an IPv4 address

FORM = (
    "Must be an address such as https://shop.example/hooks: no user name and no fragment, nothing that is not ASCII "
    "(a name in another script is written as xn--…, a character of the path as %C3%BC)."
)
HOST = "Must name a host, such as shop.example: or an IP address in its usual form."
SECURE = "Must begin with https://."
PORT = f"Must have the port 443, 80, or one from {FIRST_FREE_PORT} to 65535."
PUBLIC = "Must be a public address: this one belongs to a private network, to this machine, or to nobody."

_FORBIDDEN = [  # RFC 6890 and IANA's registries of special addresses
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        "168.63.129.16/32",  # the machine below a virtual one at Azure; others use what is link-local
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),  # Teredo, 6to4 among them
    )
]
_GLOBAL = ipaddress.ip_network("2000::/3")  # of IPv6 nothing else is public: not ::1, ::ffff:…, 64:ff9b::…, fc00::…


class Target(NamedTuple):
    """An address in its parts."""

    is_secure: bool
    host: str  # in small letters; an IPv6 address without its brackets
    port: int
    path: str  # with the query

    @property
    def host_header(self) -> str:
        """Return what the header Host says."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS["https" if self.is_secure else "http"] else f"{name}:{self.port}"


def target_of(url: str, private: bool) -> Target:
    """Read an address; raise ValueError with a sentence. `private`: http and private networks are allowed too."""
    found = URL.match(url) if len(url) <= LONGEST else None
    if not found:
        raise ValueError(FORM)
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if scheme != "https" and not private:
        raise ValueError(SECURE)
    address = _address_of(host)
    if address and not private and not is_public(address):
        raise ValueError(PUBLIC)
    port = int(found["port"]) if found["port"] else PORTS[scheme]
    if port not in PORTS.values() and not FIRST_FREE_PORT <= port <= 65535:
        raise ValueError(PORT)
    path = found["path"] if found["path"].startswith("/") else "/" + found["path"]
    return Target(scheme == "https", host.strip("[]"), port, path)


def _address_of(host: str) -> str | None:
    """Return the IP address that the host of an address is; None where it is a name; raise ValueError."""
    *_, last = labels = host.split(".")
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        if NUMERIC.fullmatch(last):  # 2130706433, 0x7f.1, 127.1 and 0177.0.0.1 are refused
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError(HOST) from None
    if len(host) > LONGEST_HOST or not all(map(LABEL.match, labels)):
        raise ValueError(HOST)
    return None


def is_public(address: str) -> bool:
    """Whether this IP address is one of the public internet."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6 and ip not in _GLOBAL:
        return False
    return not any(ip in network for network in _FORBIDDEN)
