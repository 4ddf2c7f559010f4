"""From a socket to WSGI and back: waitress with its limits set, the threads and the processes that serve."""
