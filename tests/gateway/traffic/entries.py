"""Entries as finished requests leave them, and what a database holds of them in the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.traffic.entry import Entry
from programs.traffic import feedback, traffic

RELEASE = "quiz@0123456789ab"
_JSON = ("inputs", "outputs", "steps", "reasoning", "value", "comment")


def an_entry(response_id: str = "chatcmpl-1", *, days_old: float = 0.0, **changes: Any) -> Entry:
    """An answered question; `changes` replace its columns, or its inputs, outputs and steps."""
    texts = {"inputs": {"question": "q"}, "outputs": [{"reasoning": "r", "answer": "a"}], "steps": None}
    row = {
        "response_id": response_id,
        "request_id": response_id,
        "at": time.time() - days_old * 86_400,
        "key_id": None,
        "model": "quiz",
        "program": "quiz",
        "release": RELEASE,
        "answer": "answer",
        "reasoning": '["reasoning"]',
        "complete": True,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "usd": 0.001,
        "seconds": 0.2,
        "status": 200,
        "error": None,
    }
    texts |= {name: value for name, value in changes.items() if name in texts}
    row |= {name: value for name, value in changes.items() if name in row}
    return Entry(row, orjson.dumps(texts))


def kept(path: Path) -> list[dict[str, Any]]:
    """The rows of the log by their time, their JSON read."""
    return [
        {name: _read(name, value) for name, value in row.items()}
        for row in _rows(path, sa.select(traffic).order_by(traffic.c.at))
    ]


def said(path: Path) -> list[dict[str, Any]]:
    """The feedback in the database by kind, its values read."""
    found = _rows(path, sa.select(feedback).order_by(feedback.c.response_id, feedback.c.kind))
    return [
        {**row, **{name: row[name] and orjson.loads(row[name]) for name in ("value", "comment")}}
        for row in found
    ]


def _rows(path: Path, wanted: sa.Select[Any]) -> list[dict[str, Any]]:
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]
    finally:
        engine.dispose()


def _read(name: str, value: Any) -> Any:
    return orjson.loads(value) if name in _JSON and value else value
