"""The shop, wired as ever, with one route more, which breaks. A program: broken_shop.py PORT."""

import signal
import sys

import server
from commands.serve import listen, open_doors
from core import config, logs
from core.app import app
from core.identity.auth import PUBLIC
from core.serving.server import Server

THREADS = 4


@app.get("/api/broken", auth=PUBLIC)
def broken():
    """Break."""
    raise RuntimeError("what only the log may say")


def main(port):
    """Serve on this port until SIGTERM."""
    settings = config.load(port=port)
    logs.configure(settings.log_level)
    application = server.shop(settings, settings.database)
    sockets = listen(settings.host, settings.port, 1)
    open_doors(sockets, settings.host, settings.port)
    serving = Server(application, sockets[0], THREADS)
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    print("Serving on", settings.port, flush=True)
    serving.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
