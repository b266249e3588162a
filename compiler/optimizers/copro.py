"""COPRO: instructions that a proposer writes, and rewrites knowing what the earlier ones scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import dspy
from annotated_types import Ge
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.estimate import Runs
from compiler.optimizers.dspy_bench import DspyBench
from compiler.optimizers.wrapped import Step, compiled


@dataclass(frozen=True)
class COPRO:
    """`breadth` instructions for each predictor, `depth` times; all of them scored on all dev rows."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    breadth: Annotated[int, Ge(2)] = 6
    depth: Annotated[int, Ge(1)] = 2
    init_temperature: Annotated[float, Ge(0)] = 1.4

    async def optimise(self, bench: Bench) -> Candidate:
        expected = self.expected_runs(len(bench.train), len(bench.dev), 0.5).scored
        return await compiled("COPRO", bench, self.step, len(bench.dev), expected)

    def step(self, bench: DspyBench) -> Step:
        optimizer = dspy.COPRO(
            prompt_model=bench.proposer_lm,
            metric=bench.metric,
            breadth=self.breadth,
            depth=self.depth,
            init_temperature=self.init_temperature,
        )
        # It learns nothing from examples and only selects with them, so they are the dev rows.
        return Step(optimizer, {"trainset": bench.dev, "eval_kwargs": {"num_threads": bench.threads}})

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        tried = self.breadth * self.depth
        return Runs(scored=dev * tried, proposed=tried - 1)
