"""What the log looks like: lines for a person, or one JSON object each for a machine.

Both hold the id of the request that was worked on, as its client has it in `x-request-id`; neither ever holds
what was asked or answered. Nothing here knows what is worth a line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from engine.settings_telemetry import LogFormat, LogLevel

_OURS = ("engine", "gateway", "programs")
REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is worked on in this context, empty where none is."""


def set_up_logs(form: LogFormat, level: LogLevel) -> None:
    """Has all logs of this process written to standard error in one form, ours from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for package in _OURS:
        logging.getLogger(package).setLevel(level.upper())
    # uvicorn tells at length that it came up; of trouble it tells at a higher level.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def facts(**known: Any) -> dict[str, Any]:
    """`extra` of a call that logs: facts that stand beside the message; what is None is left out."""
    return {"facts": {name: value for name, value in known.items() if value is not None}}


class TextLines(logging.Formatter):
    """Time, level, logger, request and message in one line, a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        request = REQUEST.get()
        about = f" [{request}]" if request else ""
        known = "".join(f" {name}={value}" for name, value in _facts(record).items())
        # A line break in a message would let whoever caused it write lines of the log.
        said = "\\n".join(f"{record.getMessage()}{known}".splitlines())
        when = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        line = f"{when},{record.msecs:03.0f} {record.levelname} {record.name}{about}: {said}"
        trouble = _traceback(self, record)
        return line if trouble is None else f"{line}\n{trouble}"


class JsonLines(logging.Formatter):
    """One object a line: `time` (UTC), `level`, `logger`, `request`, `message`, facts, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if request := REQUEST.get():
            line["request_id"] = request
        line["message"] = record.getMessage()
        line |= {name: value for name, value in _facts(record).items() if name not in line}
        if (trouble := _traceback(self, record)) is not None:
            line["traceback"] = trouble
        return orjson.dumps(line, default=str).decode()


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    known: Mapping[str, Any] = getattr(record, "facts", {})
    return known


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return formatter.formatException(record.exc_info)
    return None
