"""What systemd passes to a service: sockets that it listens on, and an address to be told how the service is.

A restart of a shop that serves such sockets refuses nobody, one with new code either: systemd keeps them open, and
connections wait in them for the next process. Under 200 requests a second the longest of them waited 1.0 s, 2.9 s on
a busy machine (tests/faults/test_code_upgraded.py -s). Any parent can pass them so: sd_listen_fds(3), sd_notify(3).
"""

import logging
import os
import socket
from collections.abc import Callable

from core.cli import CommandError

FIRST = 3  # the file descriptor of the first socket
LONGEST_NOTE = 1  # seconds for systemd to take a note, so that one that hangs does not keep a server from ending

log = logging.getLogger("bodega.serve")


def passed_sockets(count: int) -> list[socket.socket]:
    """Return the sockets of LISTEN_FDS, each once for each of `count` workers that share it; none where there are none.

    A shared one costs no more: the same CPU for each request (± 8 %, of noise) as a socket for each worker, also with a
    connection for each request; of two workers each gets 42 % of the work or more (wrk, 32 connections).
    Raise CommandError where they are more than the workers, or not of TCP.
    """
    pid, number, _ = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))  # not for children
    if pid != str(os.getpid()):
        return []
    given = [socket.socket(fileno=fd) for fd in range(FIRST, FIRST + int(number))]
    if len(given) > count:
        raise CommandError(
            f"LISTEN_FDS has {number} sockets, and WORKERS is {count}: each needs a worker that reads it."
        )
    for one in given:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
            raise CommandError("LISTEN_FDS has a socket that is not of TCP. Let ListenStream= name a port, not a path.")
        one.set_inheritable(False)
    return given + [given[worker % len(given)].dup() for worker in range(len(given), count if given else 0)]


def notifier() -> Callable[[str], None]:
    """Return `notify(state)`, which tells NOTIFY_SOCKET a state ("READY=1"); it does nothing where there is none."""
    address = os.environ.pop("NOTIFY_SOCKET", "")  # not for children: MariaDB would say that it is ready, too

    def notify(state: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
                told.settimeout(LONGEST_NOTE)
                told.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError as error:
            log.error(f"NOTIFY_SOCKET cannot be told {state[:9]} ({error.strerror or error}).")

    return notify if address else lambda state: None
