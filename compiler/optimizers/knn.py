"""KNNFewShot: demonstrations worked out once, of which each request is shown those nearest to it.

DSPy's optimiser of the same name bootstraps anew on every request and can't be saved; here all that is asked
beforehand is asked once, and the release holds the demonstrations and where they lie.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import dspy
from annotated_types import Ge, Le
from pydantic import AfterValidator, ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate, Demo, NeighbourCandidate
from compiler.events import Log
from compiler.lowering import lower
from compiler.optimizers.bootstrap import BootstrapFewShot
from compiler.optimizers.expected import Runs
from compiler.optimizers.labeled import labelled_demos
from compiler.optimizers.race import score_alone
from compiler.proof import require_plan
from compiler.scoring import request_inputs
from programs.data import content_key
from programs.embedding import EMBEDDERS
from programs.execution import PlanExecutor
from programs.neighbours import MOST_DEMONSTRATIONS, MOST_SHOWN, embedded_text

TO_TEACHER = 16  # rows that the teacher is shown as they are, at most


def _known_embedder(name: str) -> str:
    if name not in EMBEDDERS:
        raise ValueError(f"known embedders are {', '.join(EMBEDDERS)}")
    return name


@dataclass(frozen=True)
class KNNFewShot:
    """Works out up to `num_demos` training rows and shows each request its `k` nearest.

    Only runs that the metric passes count. Where fewer than `k` pass, the rows are shown as they are.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    k: Annotated[int, Ge(1), Le(MOST_SHOWN)] = 3
    num_demos: Annotated[int, Ge(1), Le(MOST_DEMONSTRATIONS)] = 200
    metric_threshold: float | None = None
    embedder: Annotated[str, AfterValidator(_known_embedder)] = "hashed-ngrams"

    async def optimise(self, bench: Bench) -> Candidate:
        require_plan(bench.subject, bench.train, "KNNFewShot")
        ((name, _),) = bench.predictors().items()
        rows = _distinct(bench.train)
        pool = await self._pool(bench, rows, name)
        texts = _texts(bench, rows, name)
        embedder = EMBEDDERS[self.embedder].learn(texts)
        vectors = await embedder.embed([texts[index] for index in pool])
        candidate = NeighbourCandidate(
            f"nearest {min(self.k, len(pool))} of {len(pool)}",
            {name: ()},
            predictor=name,
            pool=list(pool.values()),
            vectors=vectors,
            embedder=embedder,
            k=self.k,
        )
        found, _ = await score_alone(candidate, bench)
        return found

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        return Runs(taught=round(min(train, self.num_demos / pass_rate)), scored=dev, demos=self.k)

    async def _pool(self, bench: Bench, rows: Sequence[dspy.Example], name: str) -> dict[int, Demo]:
        """Demonstrations by the row they show."""
        worked = BootstrapFewShot(
            self.num_demos, min(self.k, TO_TEACHER), metric_threshold=self.metric_threshold
        )
        shown = await worked.work_through(bench, rows)
        if len(shown) >= self.k:
            return {index: run[name] for index, run in sorted(shown.items())}
        bench.report(
            Log(
                f"The metric passed {len(shown)} of {len(rows)} worked rows, fewer than the {self.k} that a "
                "request is shown; the rows are shown as they are instead."
            )
        )
        size = min(self.num_demos, len(rows))
        chosen = sorted(random.Random(bench.seed).sample(range(len(rows)), size))
        plain = labelled_demos(bench.predictors(), {name: [rows[index] for index in chosen]})
        return dict(zip(chosen, plain[name], strict=True))


def _distinct(rows: Sequence[dspy.Example]) -> list[dspy.Example]:
    """Of rows that ask the same, the first."""
    first: dict[str, dspy.Example] = {}
    for row in rows:
        first.setdefault(content_key(row), row)
    return list(first.values())


def _texts(bench: Bench, rows: Sequence[dspy.Example], name: str) -> list[str]:
    """What of each row is compared with a request."""
    program, module = bench.subject
    plan = lower(module, program, Candidate("plain", {name: ()}), None)
    runs = PlanExecutor(plan)
    return [embedded_text(plan, request_inputs(runs, row)) for row in rows]
