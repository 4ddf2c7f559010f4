"""The shop with one more route, which raises. A program: broken_shop.py PORT."""

import signal
import sys

import server
from core import config, logs
from core.app import app
from core.identity.auth import PUBLIC
from core.serving import sockets
from core.serving.server import Server

THREADS = 4


@app.get("/api/broken", auth=PUBLIC, hidden=True)
def broken():
    """Raise."""
    raise RuntimeError("what only the log may say")


def main(port):
    """Serve on this port until SIGTERM."""
    settings = config.load(port=port)
    logs.configure(settings.log_level, settings.log_format)
    application = server.shop(settings, settings.database)
    bound = sockets.bind(settings.host, settings.port, 1)
    sockets.start_listening(bound, settings.host, settings.port)
    serving = Server(application, bound[0], THREADS)
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    print("Serving on", settings.port, flush=True)
    serving.run()


if __name__ == "__main__":
    main(int(sys.argv[-1]))
