"""The search for the best candidate, which a ceiling or the target may end early."""

from __future__ import annotations

from typing import NamedTuple

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate
from compiler.errors import SearchEnded
from compiler.events import Log
from compiler.optimizers.table import Optimizer


class Found(NamedTuple):
    """The candidate to release, and why the search ended before it was through, where it did."""

    candidate: Candidate
    stopped: str | None


async def search(optimizer: Optimizer, bench: Bench) -> Found:
    """What the optimiser finds, or the best it had offered when the search was ended."""
    stopped = None
    try:
        candidate = bench.preferred(await optimizer.optimise(bench))
    except SearchEnded as ended:
        for model in (bench.student.model, bench.teacher.model, bench.proposer):
            await model.settle()
        candidate, _ = bench.best
        stopped = str(ended)
        bench.report(Log(f"{stopped[0].upper()}{stopped[1:]}; {candidate.name!r} is taken."))
    return Found(await bench.fits(candidate) or PLAIN, stopped)
