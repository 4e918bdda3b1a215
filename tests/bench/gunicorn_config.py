"""How the bench runs gunicorn: it tells on standard output what its workers do, and reads its mode from a file."""

import os
from pathlib import Path
from typing import Any

bind = "127.0.0.1:0"
workers = int(os.environ["BENCH_WORKERS"])
# Read anew with each SIGHUP, which restarts the workers: the documented way to change their environment.
raw_env = [f"DB_READ_ONLY={Path(os.environ['BENCH_FILE']).read_text().strip()}"]
# Its default lies in the home folder; versions that have no such socket ignore this.
control_socket_disable = True


def when_ready(server: Any) -> None:
    _tell(f"listening {server.pid} {server.LISTENERS[0]}")


def post_worker_init(worker: Any) -> None:
    _tell(f"ready {worker.pid}")


def child_exit(server: Any, worker: Any) -> None:
    _tell(f"gone {worker.pid}")


def _tell(line: str) -> None:
    # Whole: several processes write here.
    os.write(1, f"{line}\n".encode())
