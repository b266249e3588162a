"""What a worker leaves when it ends: what it counted stays in the sums of all, what it was at does not."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

_LASTING = ("counter", "histogram")


def settle_estate(folder: Path, pid: int) -> None:
    """Adds the counts of a process that has ended to those of all that have, so that files don't pile up.

    Only one process may do so, and none may read the metrics meanwhile.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    for kind in _LASTING:
        left = folder / f"{kind}_{pid}.db"
        if left.exists():
            _add(left, folder / f"{kind}_ended-{os.getpid()}.db")
            left.unlink()


def _add(file: Path, to: Path) -> None:
    if not file.stat().st_size:
        return  # its process died in the moment of making it
    sums = MmapedDict(str(to))  # type: ignore[no-untyped-call]
    try:
        for key, value, time, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
            sums.write_value(key, before + value, time)  # type: ignore[no-untyped-call]
    finally:
        sums.close()  # type: ignore[no-untyped-call]
