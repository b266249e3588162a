"""Which local engines are up: one note per engine, written when it is ready and removed when it ends.

A note can outlive its engine (a power cut, kill -9), so a reader trusts it only while the process that wrote
it is alive and is that same process.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from engine.home import EngineHome

# How long an engine may take to end before `stop` ends it by force.
_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class RunningEngine:
    """One engine that is up. `pid` is the process that keeps it; `born` tells it from a later `pid`."""

    url: str
    model: str
    backend: str
    pid: int
    born: str
    weights: str | None = None
    context_tokens: int | None = None

    def alive(self) -> bool:
        """Whether the process that keeps this engine still lives."""
        return birth_of(self.pid) == self.born


def running_engines(home: EngineHome) -> list[RunningEngine]:
    """The engines that are up, the latest first. Notes of dead ones are removed on the way."""
    notes = sorted(home.running.glob("*.json"), key=_age, reverse=True)
    engines = []
    for note in notes:
        engine = _read(note)
        if engine is None or not engine.alive():
            note.unlink(missing_ok=True)
        else:
            engines.append(engine)
    return engines


def announce(home: EngineHome, engine: RunningEngine) -> Path:
    """Write the note that others find; returns its file, to be removed when the engine ends."""
    home.running.mkdir(parents=True, exist_ok=True)
    note = home.running / f"{engine.url.rsplit(':', 1)[-1]}.json"
    draft = note.with_suffix(f".{os.getpid()}.tmp")
    draft.write_bytes(orjson.dumps(asdict(engine), option=orjson.OPT_INDENT_2))
    draft.replace(note)
    return note


def stop(engine: RunningEngine) -> bool:
    """End the engine and wait until it is gone. False if it had to be ended by force."""
    _send(engine, signal.SIGTERM)
    until = time.monotonic() + _STOP_SECONDS
    while engine.alive() and time.monotonic() < until:
        time.sleep(0.05)
    if not engine.alive():
        return True
    _send(engine, signal.SIGKILL)
    return False


def birth_of(pid: int) -> str | None:
    """What tells a process from another that gets its number later; None if there is no such process."""
    try:
        os.kill(pid, 0)
        # Field 22 is the start time in clock ticks; the name in field 2 may hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        # No Linux: the number alone has to do.
        return "unknown"
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def _send(engine: RunningEngine, number: signal.Signals) -> None:
    try:
        os.kill(engine.pid, number)
    except ProcessLookupError:
        return


def _age(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(note: Path) -> RunningEngine | None:
    try:
        return RunningEngine(**orjson.loads(note.read_bytes()))
    except (OSError, TypeError, orjson.JSONDecodeError):
        return None
