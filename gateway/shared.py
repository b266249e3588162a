"""What the workers of one gateway have in common, apart from their port: files in a folder."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from engine.meter_sheet import Sheet
from engine.shared_sheet import SharedSheet


@dataclass(frozen=True)
class Shared:
    """`place` is this worker's among the `workers`; `folder` has the files of metrics and of meters."""

    folder: Path
    place: int = 0
    workers: int = 1

    def sheet(self, engine: str) -> Sheet | None:
        """Where the hours of an engine are metered; a single worker needs no such place."""
        if self.workers == 1:
            return None
        name = hashlib.sha256(engine.encode()).hexdigest()[:16]
        return SharedSheet(self.folder / f"{name}.meter", self.place, self.workers, time.monotonic())
