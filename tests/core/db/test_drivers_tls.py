"""Who gets the password: TLS to another machine, by both drivers, against a real server and against impostors."""

import contextlib
import dataclasses
import datetime
import ipaddress
import os
import socket
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from helpers import IN_C, execute, free_port
from test_drivers import between, refused

from core import config
from core.db import drivers
from core.db.drivers import DatabaseError, connect, number
from core.db.mysql_errors import LOST, refusal
from core.setup import system
from core.setup.embedded import user

ELSEWHERE = "127.0.0.2"  # stands for another machine: only what is known to be this one is taken for it


def certificates(folder):
    """Write ca.pem, other-ca.pem, and server.pem with server.key for localhost and ELSEWHERE, signed by the first."""
    now = datetime.datetime.now(datetime.UTC)

    def sign(name, signer=None, extensions=()):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(signer[0].subject if signer else subject, subject, key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(not signer, None), critical=True)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer[1] if signer else key, hashes.SHA256()), key

    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ELSEWHERE))]
    ca, other = sign("ca"), sign("other ca")
    certificate, key = sign("server", ca, [x509.SubjectAlternativeName(names)])
    for name, (signed, _) in {"ca": ca, "other-ca": other, "server": (certificate, key)}.items():
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    """A MariaDB that asks for TLS, with a certificate for localhost: (DatabaseUrl, the folder of the certificates)."""
    mariadbd, maker = system.program("mariadbd"), system.program("mariadb-install-db")
    if not (mariadbd and maker):
        pytest.skip("needs mariadbd")
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certificates(folder)
    common = ["--no-defaults", f"--datadir={folder / 'data'}", f"--user={user()}"]
    places = os.pathsep.join([os.environ["PATH"], *system.PLACES])
    subprocess.run([maker, *common, "--skip-test-db"], check=True, capture_output=True, env={"PATH": places})
    (folder / "init.sql").write_text(
        "CREATE DATABASE shop;\n"
        "CREATE USER shop@'%' IDENTIFIED BY 'pw' REQUIRE SSL;\n"
        "GRANT ALL ON shop.* TO shop@'%';\n"
    )
    command = [mariadbd, *common, f"--init-file={folder / 'init.sql'}", f"--socket={folder / 's'}"]
    command += [f"--port={port}", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=8M"]
    command += [f"--ssl-cert={folder / 'server.pem'}", f"--ssl-key={folder / 'server.key'}", "--skip-name-resolve"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = config.DatabaseUrl("shop", "shop", "pw", "localhost", port, ssl_ca=str(folder / "ca.pem"))
        for _ in range(300):
            with contextlib.suppress(DatabaseError):
                connect(url, 2).close()
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield url, folder
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["pymysql", pytest.param("mysqldb", marks=IN_C)])
def secure(encrypted, request):
    """The login that wants TLS, by each of the drivers."""
    return dataclasses.replace(encrypted[0], driver=request.param)


def cipher(url):
    """Return the cipher of a connection; "" without TLS."""
    return execute(url, "SHOW STATUS LIKE 'Ssl_cipher'")[0]["Value"]


@pytest.mark.slow
def test_with_a_ca_file_the_connection_is_encrypted(secure):
    assert cipher(secure)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"ssl_ca": "other-ca.pem"}, {"host": "127.0.0.1"}])
def test_a_certificate_of_another_ca_or_for_another_host_is_refused(secure, encrypted, wrong):
    if "ssl_ca" in wrong:
        wrong = {"ssl_ca": str(encrypted[1] / wrong["ssl_ca"])}

    with pytest.raises(DatabaseError, match=r"(?i)certificate") as caught:
        connect(dataclasses.replace(secure, **wrong), 2)

    assert number(caught.value) in LOST


@pytest.mark.slow
def test_a_server_without_tls_is_refused_where_there_is_a_ca_file(login, encrypted):
    """Else a machine in between could have the password by saying that there is no TLS."""
    with between(login) as (way, _), refused() as codes:
        connect(dataclasses.replace(way, host="localhost", ssl_ca=str(encrypted[1] / "ca.pem")), 2)

    assert codes[0] in LOST


@pytest.mark.slow
def test_on_this_machine_there_is_no_tls(secure):
    with refused() as codes:  # this one insists on it
        connect(dataclasses.replace(secure, ssl_ca=None), 2)

    assert codes == [1045]


@pytest.fixture
def known(encrypted, monkeypatch):
    """`known(name)`: this machine knows this CA, and no other."""

    def of_this_machine(name):
        monkeypatch.setenv("SSL_CERT_FILE", str(encrypted[1] / name))
        monkeypatch.setenv("SSL_CERT_DIR", str(encrypted[1] / "none"))
        drivers._tls.cache_clear()

    yield of_this_machine
    drivers._tls.cache_clear()


@pytest.mark.slow
def test_a_connection_to_another_machine_uses_tls_where_its_ca_is_known(secure, known):
    known("ca.pem")

    with between(dataclasses.replace(secure, ssl_ca=None), ELSEWHERE) as (way, _):
        assert cipher(way)


@pytest.mark.slow
def test_another_machine_of_an_unknown_ca_gets_no_password_and_the_error_says_what_to_set(secure, known):
    known("other-ca.pem")
    sent = bytearray()

    between_us = between(dataclasses.replace(secure, ssl_ca=None), ELSEWHERE, sent)
    with between_us as (way, _), pytest.raises(DatabaseError) as caught:
        connect(way, 2)

    assert number(caught.value) in LOST
    assert b"shop" not in sent  # neither the account's name nor what follows it
    assert "?ssl_ca=/path/to/ca.pem" in refusal(way, caught.value) and "?ssl=off" in refusal(way, caught.value)


def test_another_machine_without_tls_gets_no_password_unless_the_url_says_so(login):
    sent = bytearray()

    with between(login, ELSEWHERE, sent) as (way, _), pytest.raises(DatabaseError) as caught:
        connect(way, 2)
    with between(login, ELSEWHERE) as (way, _):
        answered = execute(dataclasses.replace(way, tls=False), "SELECT 1 AS n")

    assert number(caught.value) in LOST
    assert b"shop" not in sent
    assert "?ssl=off" in refusal(way, caught.value)
    assert answered == [{"n": 1}]


@pytest.mark.parametrize("way_in", [b"mysql_clear_password", b"sha256_password", b"caching_sha2_password"])
def test_an_impostor_that_asks_for_the_password_gets_none(login, way_in):
    """Each of these gives it away: in the clear, or encrypted with the key of the one who asks."""
    can = 0x000FF7FF & ~0x0800  # all but TLS
    greeting = b"\x0a8.4.0\0" + bytes(4) + b"saltsalt\0" + can.to_bytes(4, "little")[:2] + b"\x2d\x02\0"
    greeting += can.to_bytes(4, "little")[2:] + b"\x15" + bytes(10) + b"saltsaltsalt\0" + way_in + b"\0"
    switch = b"\xfe" + way_in + b"\0" + b"saltsaltsaltsaltsalt\0"
    got = []

    with socket.create_server((ELSEWHERE, 0)) as other:

        def ask():
            with other.accept()[0] as client, contextlib.suppress(OSError):
                client.settimeout(5)
                client.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
                got.append(client.recv(65536))
                client.sendall(len(switch).to_bytes(3, "little") + b"\2" + switch)
                got.append(client.recv(65536))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        with refused() as codes:
            connect(dataclasses.replace(login, unix_socket=None, host=ELSEWHERE, port=other.getsockname()[1]), 2)
        asking.join(10)

    assert codes[0] in LOST
    assert b"".join(got) == b""
