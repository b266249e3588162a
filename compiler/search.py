"""The search for the best candidate, which a ceiling or the target may end early."""

from __future__ import annotations

from typing import NamedTuple

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.errors import SearchEnded
from compiler.events import Log
from compiler.optimizers import Optimizer


class Found(NamedTuple):
    """The candidate to release, and why the search ended before it was through, where it did."""

    candidate: Candidate
    stopped: str | None


async def search(optimizer: Optimizer, bench: Bench) -> Found:
    """What the optimiser finds, or the best it had offered when the search was ended."""
    try:
        return Found(await optimizer.optimise(bench), None)
    except SearchEnded as ended:
        for model in (bench.student.model, bench.teacher.model, bench.proposer):
            await model.settle()
        candidate, _ = bench.best
        bench.report(Log(f"{str(ended)[0].upper()}{str(ended)[1:]}; {candidate.name!r} is taken."))
        return Found(candidate, str(ended))
