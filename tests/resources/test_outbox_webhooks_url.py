"""Which addresses a webhook may have, and which hosts are public."""

import socket

import pytest

from resources.outbox_webhooks_url import FORM, HOST, PORT, PUBLIC, SECURE, Target, is_public, target_of

SPECIAL = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 169.254.0.1 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1
    2001::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 4000::1
"""
NEIGHBOURS = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.255.255
    172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255
    2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450::1
"""


@pytest.mark.parametrize(
    ("url", "target", "host_header"),
    [
        ("https://shop.example", Target(True, "shop.example", 443, "/"), "shop.example"),
        ("HTTPS://Shop.Example/Hooks?a=%C3%BC&b=1", Target(True, "shop.example", 443, "/Hooks?a=%C3%BC&b=1"), None),
        ("https://shop.example?a", Target(True, "shop.example", 443, "/?a"), "shop.example"),
        ("https://shop.example:8443/x", Target(True, "shop.example", 8443, "/x"), "shop.example:8443"),
        ("https://shop.example:443/x", Target(True, "shop.example", 443, "/x"), "shop.example"),
        ("https://xn--bcher-kva.example/", Target(True, "xn--bcher-kva.example", 443, "/"), "xn--bcher-kva.example"),
        ("https://9.9.9.9/", Target(True, "9.9.9.9", 443, "/"), "9.9.9.9"),
        ("https://[2606:4700::1111]:8443/", Target(True, "2606:4700::1111", 8443, "/"), "[2606:4700::1111]:8443"),
        ("https://_a.hooks-1.example/", Target(True, "_a.hooks-1.example", 443, "/"), "_a.hooks-1.example"),
    ],
)
def test_an_address_is_read_into_its_parts(url, target, host_header):
    found = target_of(url, private=False)

    assert found == target
    assert host_header in (None, found.host_header)


@pytest.mark.parametrize(
    ("url", "issue"),
    [
        ("http://shop.example/", SECURE),
        ("ftp://shop.example/", FORM),
        ("file:///etc/passwd", FORM),
        ("//shop.example/", FORM),
        ("shop.example", FORM),
        ("https://", FORM),
        ("https:///x", FORM),
        ("https://user@shop.example/", FORM),
        ("https://user:pw@shop.example/", FORM),
        ("https://good.example\\@evil.example/", FORM),
        ("https://good.example#@evil.example/", FORM),
        ("https://shop.example/#part", FORM),
        ("https://shop.example/#", FORM),
        ("https://shop.example:/", FORM),
        ("https://shop.example:-1/", FORM),
        ("https://shop.example:٤٤٣/", FORM),
        ("https://shop.example/a b", FORM),
        ("https://shop.example/a\r\nX-Evil: 1", FORM),
        ("https://shop.example/\n", FORM),
        ("https://shop.example/%zz", FORM),
        ("https://shop.example/ü", FORM),
        ("https://bücher.example/", FORM),
        ("https://sh%6Fp.example/", FORM),
        ("https://shop.example\t/", FORM),
        ("https://[fe80::1%25eth0]/", FORM),
        ("https://１２７.0.0.1/", FORM),
        ("https://127。0。0。1/", FORM),
        ("https://shop.example/" + "a" * 1000, FORM),
        ("https://shop.example./", HOST),
        ("https://.shop.example/", HOST),
        ("https://shop..example/", HOST),
        ("https://-shop.example/", HOST),
        ("https://" + "a" * 64 + ".example/", HOST),
        ("https://" + "a." * 127 + "example/", HOST),
        ("https://2130706433/", HOST),
        ("https://0x7f000001/", HOST),
        ("https://0x7f.1/", HOST),
        ("https://017700000001/", HOST),
        ("https://0177.0.0.1/", HOST),
        ("https://127.1/", HOST),
        ("https://127.0.0.1./", HOST),
        ("https://shop.0x7f/", HOST),
        ("https://256.1.1.1/", HOST),
        ("https://[::1/", FORM),
        ("https://[1.2.3.4]/", HOST),
        ("https://[:::]/", HOST),
        ("https://shop.example:0/", PORT),
        ("https://shop.example:22/", PORT),
        ("https://shop.example:25/", PORT),
        ("https://shop.example:1023/", PORT),
        ("https://shop.example:65536/", PORT),
        ("https://127.0.0.1/", PUBLIC),
        ("https://169.254.169.254/latest/meta-data/", PUBLIC),
        ("https://[::1]/", PUBLIC),
        ("https://[::ffff:127.0.0.1]/", PUBLIC),
        ("https://[::ffff:7f00:1]/", PUBLIC),
        ("https://[64:ff9b::7f00:1]/", PUBLIC),
    ],
)
def test_an_address_that_could_be_read_in_two_ways_or_is_not_public_is_refused(url, issue):
    with pytest.raises(ValueError) as refused:
        target_of(url, private=False)

    assert str(refused.value) == issue


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://localhost/", "https://10.0.0.7/", "http://[::1]/"])
def test_where_private_networks_are_allowed_http_is_too(url):
    target_of(url, private=True)


@pytest.mark.parametrize(
    "address",
    SPECIAL.split(),
)
def test_private_and_special_addresses_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    NEIGHBOURS.split(),
)
def test_the_neighbours_of_special_networks_are_public(address):
    assert is_public(address)


def test_what_the_system_would_read_as_a_number_is_no_name():
    """inet_aton takes more than four decimal numbers; whatever it takes must have been judged as an address."""
    for host in ("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1"):
        assert socket.inet_aton(host) == b"\x7f\0\0\1"
        with pytest.raises(ValueError):
            target_of(f"https://{host}/", private=False)
