"""The process that writes a build into MLflow: reads events from standard input, one in a line.

Its own process, and a polite one, because MLflow alone would take seconds of the build's: its import, the
tables of a new database, and the waiting for a server. What goes wrong is one line on standard output and
exit code 1. The first line says where to write; a last one how the build ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from compiler.events import (
    Began,
    CandidateScored,
    Described,
    Estimated,
    Event,
    Finished,
    Scored,
    Spent,
    StageStarted,
)
from compiler.tracking.mlflow_store import Address, TrackingUnavailable, open_store
from compiler.tracking.recording import Recorder, Tracked

TOLD: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        Began, CandidateScored, Described, Estimated, Finished, Scored, Spent, StageStarted,
    )
}  # fmt: skip
"""The events that are told, by the names of their classes."""
_BEHIND = 10  # niceness: what the build leaves of the processor is enough


def first_line(address: Address, tracked: Tracked) -> bytes:
    own = address.own and str(address.own)
    return _line({"folder": os.getcwd(), "uri": address.uri, "own": own, "tracked": tracked})


def event_line(event: Event) -> bytes:
    return _line({"event": type(event).__name__, "said": event})


def last_line(status: str) -> bytes:
    return _line({"end": status})


def main() -> int:
    # To be told to end is the build's to answer; it says here how it ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_BEHIND)
    lines = sys.stdin.buffer
    begun = orjson.loads(lines.readline())
    os.chdir(begun["folder"])
    address = Address(begun["uri"], begun["own"] and Path(begun["own"]))
    # Standard output is for the one line that is read; nobody reads what a library says there.
    with contextlib.redirect_stdout(sys.stderr):
        failure = _write(address, Tracked(**begun["tracked"]), lines)
    if failure is not None:
        sys.stdout.write(failure)
    return 0 if failure is None else 1


def _write(address: Address, tracked: Tracked, lines: Iterable[bytes]) -> str | None:
    """Why it failed, where it did."""
    try:
        store = open_store(address)
        with store.waited_for():
            record(Recorder(store, tracked), lines)
    except TrackingUnavailable as error:
        return str(error)
    return None


def record(recorder: Recorder, lines: Iterable[bytes]) -> None:
    """Reads to the last line; where there is none, the build was killed."""
    status = "KILLED"
    for line in lines:
        told = orjson.loads(line)
        if "end" in told:
            status = told["end"]
        else:
            recorder.read(TOLD[told["event"]].validate_python(told["said"]))
    recorder.end(status)


def _line(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # All is written; to take MLflow's modules down in order would be a second that the build waits for.
    os._exit(code)
