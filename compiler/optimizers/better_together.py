"""BetterTogether: optimisers one after the other, each beginning with what the one before it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import dspy
from annotated_types import Ge
from dspy.utils.exceptions import AdapterParseError, LMError
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.errors import ArgumentInvalid, BuildFault
from compiler.estimate import Runs
from compiler.optimizers.arguments import made
from compiler.optimizers.copro import COPRO
from compiler.optimizers.dspy_bench import NO_LIMIT, DspyBench
from compiler.optimizers.gepa import GEPA
from compiler.optimizers.mipro import MIPROv2
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.optimizers.simba import SIMBA
from compiler.optimizers.wrapped import Step, compiled

ARROW = "->"
WEIGHTS = "w"


class Stepwise(Protocol):
    """An optimiser that can be one step of several."""

    def step(self, bench: DspyBench) -> Step: ...
    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs: ...


@dataclass(frozen=True)
class RandomSearch(BootstrapFewShotWithRandomSearch):
    """DSPy's own search for demonstrations, for a program that an earlier step has changed."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_candidate_programs: Annotated[int, Ge(1)] = 4

    def step(self, bench: DspyBench) -> Step:
        optimizer = dspy.BootstrapFewShotWithRandomSearch(
            metric=bench.metric,
            teacher_settings=bench.teacher_settings,
            max_bootstrapped_demos=self.max_bootstrapped_demos,
            max_labeled_demos=self.max_labeled_demos,
            max_rounds=self.max_rounds,
            num_candidate_programs=self.num_candidate_programs,
            num_threads=bench.threads,
            max_errors=NO_LIMIT,
            metric_threshold=self.metric_threshold,
        )
        return Step(optimizer, {"trainset": bench.train, "valset": bench.dev})

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        everything = dev * (self.num_candidate_programs + 3)  # it races no candidates
        return super().expected_runs(train, dev, pass_rate)._replace(scored=everything)


STEPS: Mapping[str, type[Stepwise]] = {
    "p": RandomSearch,
    "m": MIPROv2,
    "g": GEPA,
    "c": COPRO,
    "s": SIMBA,
}
"""By the letters of a strategy; `p` is what it is in DSPy."""


@dataclass(frozen=True)
class BetterTogether:
    """Runs `strategy` step by step and keeps the best on the way; `arguments` are those of the steps."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    strategy: str = "p -> g"
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shuffle_trainset_between_steps: bool = True

    def __post_init__(self) -> None:
        known = ", ".join(f"{letter} ({_called(kind)})" for letter, kind in STEPS.items())
        for letter in self._letters:
            if letter == WEIGHTS:
                raise ArgumentInvalid(
                    f"BetterTogether: step 'w' of strategy {self.strategy!r} trains weights, and no trainer "
                    f"is installed; prompt steps are {known}"
                )
            if letter not in STEPS:
                raise ArgumentInvalid(
                    f"BetterTogether: strategy {self.strategy!r} has no step {letter!r}: known are {known}, "
                    "joined by ' -> ' as in 'p -> g'"
                )
        unused = sorted(self.arguments.keys() - set(self._letters))
        if unused:
            raise ArgumentInvalid(
                f"BetterTogether: arguments are for {unused[0]!r}, which is no step of {self.strategy!r}"
            )
        self.steps()

    def steps(self) -> dict[str, Stepwise]:
        """The optimisers of the strategy by letter.

        Raises:
            ArgumentInvalid: an argument of one of them.
        """
        return {
            letter: made(f"BetterTogether's step {letter!r}", STEPS[letter], self.arguments.get(letter, {}))
            for letter in self._letters
        }

    async def optimise(self, bench: Bench) -> Candidate:
        expected = self.expected_runs(len(bench.train), len(bench.dev), 0.5).scored
        return await compiled("BetterTogether", bench, self.step, len(bench.dev), expected)

    def step(self, bench: DspyBench) -> Step:
        prepared = {letter: step.step(bench) for letter, step in self.steps().items()}
        optimizer = Together(
            metric=bench.metric, **{letter: step.optimizer for letter, step in prepared.items()}
        )
        bench.program.set_lm(bench.student_lm)  # it insists on a model at every predictor
        arguments = {
            "trainset": bench.train,
            "valset": bench.dev,
            "num_threads": bench.threads,
            "max_errors": NO_LIMIT,
            "seed": bench.seed,
            "shuffle_trainset_between_steps": self.shuffle_trainset_between_steps,
            "strategy": dspy.BetterTogether.STRAT_SEP.join(self._letters),
            "optimizer_compile_args": {
                # Training rows are its own to shuffle; only a step that wants other rows gets them here.
                letter: {name: it for name, it in step.arguments.items() if it is not bench.train}
                for letter, step in prepared.items()
            },
        }
        return Step(optimizer, arguments)

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        made_of = self.steps()
        parts = [made_of[letter].expected_runs(train, dev, pass_rate) for letter in self._letters]
        return Runs(
            taught=sum(part.taught for part in parts),
            scored=sum(part.scored for part in parts),
            demos=max(part.demos for part in parts),
            proposed=sum(part.proposed for part in parts),
        )

    @property
    def _letters(self) -> list[str]:
        return [letter.strip() for letter in self.strategy.split(ARROW)]


class Together(dspy.BetterTogether):
    """Fails where a step does; DSPy's own returns what it had by then and only logs why."""

    def __init__(self, metric: Any, **optimizers: Any) -> None:
        super().__init__(metric, **optimizers)
        self.failure: Exception | None = None

    def compile(self, student: dspy.Module, **arguments: Any) -> dspy.Module:
        best = super().compile(student, **arguments)
        if isinstance(self.failure, LMError | AdapterParseError):
            raise self.failure
        if best.flag_compilation_error_occurred:
            kind = type(self.failure).__name__
            raise BuildFault(f"BetterTogether: a step failed, {kind}: {self.failure}") from self.failure
        return best

    def _run_and_evaluate_step(self, *given: Any, **named: Any) -> Any:
        try:
            return super()._run_and_evaluate_step(*given, **named)
        except Exception as error:
            self.failure = error
            raise


def _called(kind: type[Stepwise]) -> str:
    return "BootstrapFewShotWithRandomSearch" if kind is RandomSearch else kind.__name__
