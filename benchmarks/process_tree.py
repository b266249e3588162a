"""What a server and all its descendants take, as Linux counts it: CPU seconds and memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Taken(NamedTuple):
    """CPU since the processes began; memory now, of which `pss_mib` counts shared pages in parts."""

    cpu_seconds: float
    rss_mib: float
    pss_mib: float


class Stat(NamedTuple):
    """One line of /proc/PID/stat: `ticks` are those of the process and of children that it waited for."""

    pid: int
    parent: int
    ticks: int


def taken_by(root: int) -> Taken:
    """What the process and its descendants take; those that end meanwhile count as nothing."""
    tree = family(root, _stats())
    rss = pss = 0
    for stat in tree:
        pages = _memory(stat.pid)
        rss, pss = rss + pages[0], pss + pages[1]
    return Taken(sum(stat.ticks for stat in tree) / _TICKS, rss / 1024, pss / 1024)


def family(root: int, stats: list[Stat]) -> list[Stat]:
    """The process and all that descends from it."""
    found = [stat for stat in stats if stat.pid == root]
    for one in found:
        found += [stat for stat in stats if stat.parent == one.pid]
    return found


def children(root: int) -> set[int]:
    """The processes that it started itself."""
    return {stat.pid for stat in _stats() if stat.parent == root}


def read_stat(line: str) -> Stat:
    """The name of a process may hold spaces and brackets; its numbers begin after the last bracket."""
    pid, _, rest = line.partition(" ")
    fields = rest.rpartition(")")[2].split()
    return Stat(int(pid), int(fields[1]), sum(map(int, fields[11:15])))


def _stats() -> list[Stat]:
    stats = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                stats.append(read_stat((folder / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return stats


def _memory(pid: int) -> tuple[int, int]:
    """RSS and PSS in KiB."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)
