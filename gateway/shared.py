"""What the workers of one gateway have in common, apart from their port: files in a folder."""

from __future__ import annotations

import hashlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from engine.meter_sheet import Sheet
from engine.shared_sheet import SharedSheet, strike_out


@dataclass(frozen=True)
class Shared:
    """`place` is this worker's among the `workers`; `folder` has the files of metrics and of meters.

    While a worker is replaced two have its place; a `seat` no two processes have at the same time. `admins`
    is the socket of the admins' port, where it outlives the worker that serves it.
    """

    folder: Path
    place: int = 0
    workers: int = 1
    seat: int = 0
    admins: socket.socket | None = None

    @property
    def seats(self) -> int:
        """How many processes there can be: each worker and one that replaces it."""
        return 2 * self.workers

    def sheet(self, engine: str) -> Sheet | None:
        """Where the hours of an engine are metered; a single worker needs no such place."""
        if self.workers == 1:
            return None
        name = hashlib.sha256(engine.encode()).hexdigest()[:16]
        return SharedSheet(self.folder / f"{name}.meter", self.seat, self.seats, time.monotonic())

    def leave(self, seat: int) -> None:
        """Whoever sat there has ended."""
        for sheet in self.folder.glob("*.meter"):
            strike_out(sheet, seat)
