"""Reads a gateway's traffic log: what was asked and answered, with the last word of each kind on it.

Only ever reads, and needs no gateway to run. Imports SQLAlchemy.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from compiler.errors import TrafficUnreadable
from programs.traffic import APPROVED, REJECTED, FeedbackKind, feedback, traffic

_AT_ONCE = 1_000  # rows


@dataclass
class Exchange:
    """One request with what came of it. `outputs` are those of each choice, `said` is by kind."""

    response_id: str
    at: float
    release: str
    answer: str
    reasoning: Sequence[str]
    inputs: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]
    answered: bool
    """Whether all choices are there and none was cut."""
    said: dict[FeedbackKind, Any] = field(default_factory=dict)


class Ending(NamedTuple):
    """How one request ended. `score` is what its client said of the answer, a label as a score of 1 or 0."""

    release: str
    status: int
    error: str | None
    seconds: float
    usd: float | None
    score: float | None


class TrafficLog:
    """The log in one database: the path of a file of SQLite, or the URL of a PostgreSQL server."""

    def __init__(self, database: str) -> None:
        """Raises TrafficUnreadable where there is no such file, or a library is missing."""
        if "://" in database:
            self.shown = sa.make_url(database).render_as_string()
            self._engine = _postgresql(database)
        else:
            self.shown = database
            self._engine = _sqlite(Path(database))

    def programs(self) -> list[str]:
        """The programs that were asked. Raises TrafficUnreadable."""
        wanted = sa.select(traffic.c.program).distinct().order_by(traffic.c.program)
        return [row[0] for row in self._rows(wanted)]

    def exchanges(
        self, program: str, since: float | None = None, *, unrated: bool = False
    ) -> Iterator[Exchange]:
        """Those of a program that something was said of, or all; newest first. Raises TrafficUnreadable."""
        wanted = (
            sa.select(traffic, feedback.c.kind, feedback.c.value)
            .join(feedback, traffic.c.response_id == feedback.c.response_id, isouter=unrated)
            .where(traffic.c.program == program, traffic.c.inputs.is_not(None))
            .order_by(traffic.c.at.desc(), traffic.c.response_id)
        )
        if since is not None:
            wanted = wanted.where(traffic.c.at >= since)
        exchange: Exchange | None = None
        for row in self._rows(wanted):
            if exchange is None or exchange.response_id != row.response_id:
                if exchange is not None:
                    yield exchange
                exchange = _exchange(row)
            if row.kind is not None:
                exchange.said[row.kind] = json.loads(row.value)
        if exchange is not None:
            yield exchange

    def endings(self, releases: Sequence[str], since: float | None = None) -> Iterator[Ending]:
        """How the requests of these releases ended. Raises TrafficUnreadable."""
        score, label = (_said(kind) for kind in ("score", "label"))
        wanted = (
            sa.select(
                *(traffic.c[name] for name in Ending._fields[:-1]),
                score.c.value.label("score"),
                label.c.value.label("label"),
            )
            .join(score, traffic.c.response_id == score.c.response_id, isouter=True)
            .join(label, traffic.c.response_id == label.c.response_id, isouter=True)
            .where(traffic.c.release.in_(releases))
        )
        if since is not None:
            wanted = wanted.where(traffic.c.at >= since)
        for row in self._rows(wanted):
            score_told = _score(row.score, row.label)
            yield Ending(row.release, row.status, row.error, row.seconds, row.usd, score_told)

    def _rows(self, wanted: sa.Select[Any]) -> Iterator[Any]:
        try:
            with self._engine.connect() as connection:
                yield from connection.execution_options(yield_per=_AT_ONCE).execute(wanted)
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise TrafficUnreadable(f"the traffic log in {self.shown!r} can't be read: {said}") from error
        finally:
            self._engine.dispose()


def _said(kind: FeedbackKind) -> sa.Subquery:
    told = sa.select(feedback.c.response_id, feedback.c.value).where(feedback.c.kind == kind)
    return told.subquery(kind)


def _score(score: str | None, label: str | None) -> float | None:
    """The last word of a client as a number; None where nothing was said, or a word of the client's own."""
    if score is not None:
        return float(json.loads(score))
    return None if label is None else {APPROVED: 1.0, REJECTED: 0.0}.get(json.loads(label))


def _exchange(row: Any) -> Exchange:
    return Exchange(
        response_id=row.response_id,
        at=row.at,
        release=row.release,
        answer=row.answer,
        reasoning=json.loads(row.reasoning),
        inputs=json.loads(row.inputs),
        outputs=json.loads(row.outputs),
        answered=row.status == 200 and row.complete,
    )


def _sqlite(path: Path) -> sa.Engine:
    if not path.is_file():
        raise TrafficUnreadable(f"there is no database {str(path)!r}; `gateway serve` makes it where it runs")
    address = f"file:{quote(str(path))}?mode=ro"
    return sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))


def _postgresql(url: str) -> sa.Engine:
    try:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    except ImportError as error:
        raise TrafficUnreadable(
            "PostgreSQL is read by a driver that is not installed: pip install 'smallforge[stores]'"
        ) from error
    return engine.execution_options(postgresql_readonly=True)
