"""How the demo runs gunicorn: a process with a few threads, on a free port that it tells on standard output."""

from typing import Any

bind = "127.0.0.1:0"
workers = 1
threads = 4
graceful_timeout = 5
# Its default lies in the home folder; versions that have no such socket ignore this.
control_socket_disable = True


def when_ready(server: Any) -> None:
    for listener in server.LISTENERS:
        print(f"gunicorn listens at {listener}", flush=True)
