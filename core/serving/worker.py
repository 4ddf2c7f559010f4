"""A worker: the process that serves one socket. The supervisor forks it, see core/serving/supervisor.py."""

import logging
import os
import signal
import socket
import threading

from core import metrics
from core.db.database import MOST
from core.serving.middleware import Middleware
from core.serving.server import Server

RETIRE = signal.SIGUSR1  # not SIGHUP: a closed terminal sends that to all processes, and only the supervisor obeys it
SIGNALS = {signal.SIGTERM, signal.SIGHUP, RETIRE}  # blocked from the fork until there are handlers


def work(application: Middleware, listening: socket.socket, threads: int, lifeline: int, tell_ready: int) -> None:
    """Serve on this socket until SIGTERM or RETIRE; end the process when the supervisor is gone.

    `lifeline`: a pipe that closes with the supervisor; `tell_ready`: a pipe to write to when the worker reads.
    """

    def end_with_the_supervisor() -> None:
        os.read(lifeline, 1)
        logging.shutdown()
        os._exit(1)

    def ready() -> None:
        os.write(tell_ready, b"+")
        os.close(tell_ready)

    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C reaches all processes; the supervisor then sends SIGTERM
        signal.signal(number, signal.SIG_IGN)
    metrics.be("worker")
    MOST.set(threads)
    server = Server(application, listening, threads)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(RETIRE, lambda *_: server.retire())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=end_with_the_supervisor, daemon=True).start()
    if application.changes:
        application.changes.listen()
    server.run(ready)
