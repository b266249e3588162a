"""Entries of the traffic log as rows of its table, redacted."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.traffic.entry import Entry
from gateway.traffic.redaction import Redaction
from programs.json_values import write_json

_log = logging.getLogger(__name__)

Row = Mapping[str, Any]


def redacted_rows(entries: Sequence[Entry], redaction: Redaction) -> list[Row]:
    """Takes its time, so it belongs into a thread. What can't be read again is left out."""
    rows: list[Row] = []
    for entry in entries:
        try:
            rows.append(_row(entry, redaction))
        except (ValueError, TypeError, RecursionError) as error:
            # Not what the error says: that may quote the texts.
            _log.error("%s is not in the traffic log: %s", entry.row["response_id"], type(error).__name__)
    return rows


def _row(entry: Entry, redaction: Redaction) -> Row:
    texts = _read(entry.texts)
    steps = texts["steps"]
    return {
        **entry.row,
        "inputs": None if texts["inputs"] is None else _written(redaction.of(texts["inputs"])),
        "outputs": _written([redaction.of(outputs) for outputs in texts["outputs"]]),
        "steps": None if steps is None else _written([redaction.of(step) for step in steps]),
    }


def _read(texts: bytes) -> Any:
    try:
        return orjson.loads(texts)
    except orjson.JSONDecodeError:
        # Half characters and numbers of more than 64 bits, which the slow reader takes.
        return json.loads(texts)


def _written(value: Any) -> str:
    return write_json(value).decode()
