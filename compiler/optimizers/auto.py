"""Chooses the optimiser where the user leaves it open: by the data, the program, the models and the budget.

The rules follow DSPy's own advice: few demonstrations for about ten rows, a search among many from fifty on,
instructions too where there is a model to write them and enough rows to select with, and what the metric
says in words where it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.charge import Charges
from compiler.estimate import Foresees, Foresight, Runs, describe_cut, estimate
from compiler.events import Log
from compiler.optimizers.bootstrap import BootstrapFewShot
from compiler.optimizers.gepa import GEPA
from compiler.optimizers.labeled import LabeledFewShot
from compiler.optimizers.mipro import MIPROv2
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.rehearsal import Rehearsal
from compiler.spending import Ceiling

NAME = "auto"


class Choosable(Protocol):
    async def optimise(self, bench: Bench) -> Candidate: ...
    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs: ...


class Situation(NamedTuple):
    """What the choice depends on."""

    train: int
    predictors: int = 1
    writer: str | None = None
    """A model other than the student that can write instructions: the proposer, or the teacher."""
    feedback: bool = False
    """Whether the metric says in words what an answer lacks."""


class Budget(NamedTuple):
    ceiling: Ceiling
    charges: Charges


class Rule(NamedTuple):
    optimizer: Choosable
    fits: Callable[[Situation], bool]
    why: str


RULES = (
    Rule(
        GEPA(),
        lambda it: it.writer is not None and it.feedback and it.train >= 20,
        "the metric says in words what an answer lacks, from which {writer} can write instructions",
    ),
    Rule(
        MIPROv2(),
        lambda it: it.writer is not None and it.train >= 200,
        "{train} training rows are enough to choose demonstrations and instructions, which {writer} writes",
    ),
    Rule(
        MIPROv2(),
        lambda it: it.writer is not None and it.predictors > 1 and it.train >= 50,
        "each of {predictors} predictors can get its own instructions, which {writer} writes",
    ),
    Rule(
        BootstrapFewShotWithRandomSearch(),
        lambda it: it.train >= 50,
        "{train} training rows are enough to choose among many sets of demonstrations",
    ),
    Rule(
        BootstrapFewShot(),
        lambda it: it.train >= 10,
        "{train} training rows are enough for a few demonstrations",
    ),
    Rule(LabeledFewShot(), lambda it: True, "it asks no model anything"),
)
"""The first that fits the situation, and whose calls the ceilings allow."""


@dataclass(frozen=True)
class Chosen:
    """The optimiser of a build, and why it is this one where the user left that open."""

    asked: str
    optimizer: Any
    why: str | None = None

    @property
    def name(self) -> str:
        return type(self.optimizer).__name__ if self.asked == NAME else self.asked

    def as_evidence(self, bench: Bench) -> dict[str, Any]:
        """With the model that writes instructions, where the optimiser has any written."""
        foresees = isinstance(self.optimizer, Foresees)
        runs = self.optimizer.expected_runs(len(bench.train), len(bench.dev), 0.5) if foresees else Runs()
        return {
            "asked": self.asked,
            "name": self.name,
            "arguments": asdict(self.optimizer),
            "why": self.why,
            "proposer": bench.proposer.name if runs.proposed else None,
        }


@dataclass(frozen=True)
class Auto:
    """Takes what `RULES` say."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    async def optimise(self, bench: Bench) -> Candidate:
        chosen: Choosable = choose(situation_of(bench), lambda _: True).optimizer
        return await chosen.optimise(bench)

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        chosen: Choosable = choose(Situation(train), lambda _: True).optimizer
        return chosen.expected_runs(train, dev, pass_rate)


def situation_of(bench: Bench, rehearsal: Rehearsal | None = None) -> Situation:
    """What is known at a bench; whether the metric uses words, its first answers tell."""
    writes = bench.proposer is not bench.student.model
    first = () if rehearsal is None else (*rehearsal.student, *rehearsal.teacher)
    return Situation(
        train=len(bench.train),
        predictors=len(bench.predictors()),
        writer=bench.proposer.name if writes else None,
        feedback=any(answer.feedback for answer in first if answer.fault is None),
    )


def choose(situation: Situation, affordable: Callable[[Choosable], bool]) -> Chosen:
    """The optimiser of the first rule that fits and can be afforded; the last one asks for nothing."""
    fitting = [rule for rule in RULES if rule.fits(situation)]
    dear = [rule for rule in fitting[:-1] if not affordable(rule.optimizer)]
    rule = next((rule for rule in fitting if rule not in dear), fitting[-1])
    why = rule.why.format(**situation._asdict())
    if dear and fitting.index(rule) > 0:
        why += f"; {type(fitting[0].optimizer).__name__} would not fit below the ceiling"
    return Chosen(NAME, rule.optimizer, why)


def settle(asked: str, optimizer: Any, bench: Bench, known: Foresight, budget: Budget) -> Chosen:
    """The optimiser to use: the one asked for, or the one chosen, which is told."""
    if not isinstance(optimizer, Auto):
        return Chosen(asked, optimizer)

    def affordable(rule: Choosable) -> bool:
        expected = estimate(rule, known, budget.charges)
        return expected is None or not list(describe_cut(budget.ceiling, expected))

    chosen = choose(situation_of(bench, known.rehearsal), affordable)
    bench.report(Log(f"Optimizer: {chosen.name}; {chosen.why}."))
    return chosen
