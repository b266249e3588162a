"""SIMBA: samples small batches, and learns a rule or a demonstration where good and bad runs differ most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import dspy
from annotated_types import Ge, Gt
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.estimate import Runs
from compiler.events import Log
from compiler.optimizers.dspy_bench import DspyBench
from compiler.optimizers.wrapped import Step, compiled

NEW = 0.45  # of its candidates, about; the others repeat the prompt of an earlier one


@dataclass(frozen=True)
class SIMBA:
    """`max_steps` times `num_candidates` sampled runs of `bsize` training rows, to learn candidates from."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    bsize: Annotated[int, Ge(2)] = 32
    num_candidates: Annotated[int, Ge(2)] = 4
    max_steps: Annotated[int, Ge(1)] = 4
    max_demos: Annotated[int, Ge(0)] = 4
    demo_input_field_maxlen: Annotated[int, Ge(1)] = 100_000
    temperature_for_sampling: Annotated[float, Gt(0)] = 0.2
    temperature_for_candidates: Annotated[float, Gt(0)] = 0.2

    async def optimise(self, bench: Bench) -> Candidate:
        fitting = replace(self, bsize=min(self.bsize, len(bench.train)))
        if fitting != self:
            bench.report(
                Log(f"SIMBA: bsize={fitting.bsize}, since there are no more training rows than these.")
            )
        expected = fitting.expected_runs(len(bench.train), len(bench.dev), 0.5).scored
        return await compiled("SIMBA", bench, fitting.step, len(bench.dev), expected)

    def step(self, bench: DspyBench) -> Step:
        optimizer = dspy.SIMBA(
            metric=bench.feedback,
            bsize=min(self.bsize, len(bench.train)),
            num_candidates=self.num_candidates,
            max_steps=self.max_steps,
            max_demos=self.max_demos,
            prompt_model=bench.proposer_lm,
            teacher_settings=bench.teacher_settings or None,
            demo_input_field_maxlen=self.demo_input_field_maxlen,
            num_threads=bench.threads,
            temperature_for_sampling=self.temperature_for_sampling,
            temperature_for_candidates=self.temperature_for_candidates,
        )
        return Step(optimizer, {"trainset": bench.train, "seed": bench.seed})

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        batch, made = min(self.bsize, train), self.num_candidates + 1
        sampled = self.max_steps * batch * self.num_candidates
        tried = NEW * self.max_steps * batch * made
        # In the end the best see all training rows; those of their own batch are not asked again.
        last = min(self.max_steps, self.num_candidates)
        finally_ = train + NEW * last * (train - batch)
        return Runs(
            scored=round(sampled + tried + finally_ + 2 * dev),
            demos=min(1, self.max_demos),  # most candidates have few
            # Half of the candidates are to get a rule, and half of those find runs that differ enough.
            proposed=round(self.max_steps * made / (4 if self.max_demos else 2)),
        )
