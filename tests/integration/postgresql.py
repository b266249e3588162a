"""A real PostgreSQL server on a free port, with a data directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.conftest import free_port, program_or_leave_out


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL of an empty database, until the block ends."""
    # Debian keeps the server out of PATH.
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")))
    server = Path(program_or_leave_out("postgresql", "postgres", *debian)).resolve()
    # The server refuses to run as root, and another user can't reach pytest's folders.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user is not None:
        shutil.chown(folder, user)
    port, data = str(free_port()), str(folder / "data")
    try:
        make = [str(server.with_name("initdb")), "-D", data, "-A", "trust", "-U", "smallforge", "--no-sync"]
        subprocess.run(make, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        command = [str(server), "-D", data, "-p", port, *(word for it in options for word in ("-c", it))]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            _wait([str(server.with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", port])
            yield f"postgresql://smallforge@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _wait(ask: list[str]) -> None:
    end = time.monotonic() + 30
    while subprocess.run(ask).returncode != 0:
        assert time.monotonic() < end, "PostgreSQL did not come up"
        time.sleep(0.1)
