"""The models of a study, opened and priced: who answers, who is the standard, who shows how, who writes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.surroundings import BenchmarkFailed, wait_for
from compiler.options import choice, read_flags
from compiler.run import ModelChoice
from compiler.workshop import identity_of
from engine.local import Student, open_student
from engine.prices import price_of
from engine.settings import Settings

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PriceGiven:
    """A price of the command line, which counts more than the configuration's; USD."""

    per_hour: float | None = None
    per_million: tuple[float, float] | None = None
    """Tokens in, tokens out."""

    def on(self, model: Student) -> Student:
        if self.per_hour is None and self.per_million is None:
            return model
        tokens_in, tokens_out = self.per_million or (None, None)
        priced = replace(
            model.engine,
            usd_per_hour=self.per_hour,
            usd_per_million_input=tokens_in,
            usd_per_million_output=tokens_out,
            usd_per_million_cached=None,
        )
        return replace(model, engine=priced)


@dataclass(frozen=True)
class Named:
    """The models as they are named on the command line: URL, name of the configuration or provider/model."""

    reference: str
    student: str | None = None
    teacher: str | None = None
    proposer: str | None = None
    student_price: PriceGiven = PriceGiven()
    reference_price: PriceGiven = PriceGiven()
    config: Path | None = None

    @property
    def writes(self) -> bool:
        """Whether a model other than the student is there that can write instructions."""
        return self.proposer is not None or self.teacher is not None

    def settings(self) -> Settings:
        return read_flags({"config": self.config})


@dataclass(frozen=True)
class Models:
    """All of them, open. One that plays several roles is one object."""

    student: Student
    reference: Student
    teacher: Student | None
    proposer: Student | None

    def as_asked(self) -> dict[str, Any]:
        """What makes two studies the same. A proposer may join later: it changes no build without one."""
        told: dict[str, Any] = {
            "student": identity_of(self.student),
            "reference": identity_of(self.reference),
            "teacher": self.teacher and identity_of(self.teacher),
            "student_price": _price(self.student),
            "reference_price": _price(self.reference),
        }
        if self.proposer is not None:
            told["proposer"] = identity_of(self.proposer)
        return told


@asynccontextmanager
async def open_models(named: Named, progress: Progress) -> AsyncIterator[Models]:
    """Until the block ends.

    Raises:
        EngineError: one does not answer, or no model is known by that name.
        BenchmarkFailed: two different servers can't be told apart.
    """
    async with AsyncExitStack() as opened:

        async def opening(given: str | None) -> Student:
            flags: Mapping[str, Any] = {"config": named.config}
            asked = ModelChoice(named.settings()) if given is None else choice(flags, given)
            return await opened.enter_async_context(open_student(*asked, progress))

        student = named.student_price.on(await opening(named.student))
        reference = named.reference_price.on(await opening(named.reference))
        known: dict[str | None, Student] = {named.student: student, named.reference: reference}
        for role in (named.teacher, named.proposer):
            if role is not None and role not in known:
                known[role] = await opening(role)
        teacher, proposer = (
            None if role is None else known[role] for role in (named.teacher, named.proposer)
        )
        for other in (teacher, proposer):
            _refuse_alike(student, other)
        yield Models(student, reference, teacher, proposer)


def wait_for_models(named: Named, seconds: float) -> None:
    """Until the servers that are named by their URL answer; 0 seconds is not to wait at all.

    Raises:
        BenchmarkFailed: one does not in that time.
    """
    end = time.monotonic() + seconds
    for given in dict.fromkeys((named.student, named.reference, named.teacher, named.proposer)):
        if seconds and given is not None and "://" in given:
            address = given.partition("#")[0].rstrip("/").removesuffix("/v1")
            wait_for(f"{address}/v1/models", max(1.0, end - time.monotonic()))


def _refuse_alike(student: Student, other: Student | None) -> None:
    """A build's ledger tells models by what their servers tell of them."""
    if other is None or other.engine.urls == student.engine.urls:
        return
    if identity_of(other) == identity_of(student):
        raise BenchmarkFailed(
            f"the servers at {student.engine.urls[0]} and {other.engine.urls[0]} both call their model "
            f"{student.engine.model!r} and count the same tokens, so a build could not tell them apart; "
            "serve one of them under another name"
        )


def _price(model: Student) -> dict[str, Any] | None:
    price = price_of(model.engine)
    return None if price is None else asdict(price)
