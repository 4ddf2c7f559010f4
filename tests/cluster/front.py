"""HAProxy with deploy/cluster/haproxy.cfg in front of shops: only addresses, ports and paths are others."""

import contextlib
import pathlib
import signal
import subprocess

from helpers import eventually, free_port, refuses
from test_drivers_tls import certificates

from core.setup import system
from core.setup.system import ROOT

SETTINGS = ROOT / "deploy" / "cluster" / "haproxy.cfg"
HOSTS = ("10.0.0.11:8080", "10.0.0.12:8080")  # of the file


class Front:
    """A HAProxy that runs, reached by TLS. `ca`: the file of the CA of its certificate."""

    def __init__(self, folder: pathlib.Path, shops: list[int]) -> None:
        certificates(folder)
        self.ca, self.port = folder / "ca.pem", free_port()
        self.url = f"https://localhost:{self.port}"
        (folder / "shop.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
        text = SETTINGS.read_text()
        for before, after in (
            *zip(HOSTS, (f"127.0.0.1:{port}" for port in shops), strict=True),
            ("bind :443", f"bind 127.0.0.1:{self.port}"),
            ("bind :80", f"bind 127.0.0.1:{free_port()}"),
            ("/etc/haproxy/shop.pem", str(folder / "shop.pem")),
        ):
            assert before in text, before
            text = text.replace(before, after)
        (folder / "haproxy.cfg").write_text(text)
        self._log = folder / "haproxy.log"
        words = [system.program("haproxy") or "", "-W", "-db", "-f", str(folder / "haproxy.cfg")]  # as systemd's unit
        with self._log.open("w") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def reload(self) -> None:
        """Let it take its file again, as `systemctl reload haproxy` does."""
        said = self.log.count("New worker")
        self.process.send_signal(signal.SIGUSR2)
        assert eventually(lambda: self.log.count("New worker") > said), self.log


@contextlib.contextmanager
def fronting(folder: pathlib.Path, shops: list[int]):
    """Run HAProxy in front of the shops at these ports; give a Front."""
    front = Front(folder, shops)
    try:
        assert eventually(lambda: front.process.poll() is not None or not refuses(front.port)), front.log
        assert front.process.poll() is None, front.log
        yield front
    finally:
        front.process.send_signal(signal.SIGTERM)
        front.process.wait(20)
