"""The bench an optimiser works at: a program, examples to learn and select from, models to try them on.

Knows nothing of how candidates are thought of, nor of the test examples: they never lie here.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import dspy

from compiler.calls import RecordedModel
from compiler.candidate import PLAIN, Candidate, Demo, demo_of
from compiler.errors import SearchEnded
from compiler.evaluation.answers import Answer
from compiler.events import CandidateScored, Event
from compiler.lowering import executor, interpreted, lower, sole_predictor
from compiler.room import Room
from compiler.scoring import Scorer, Trace
from compiler.split import Examples
from compiler.window import Window
from programs.errors import LoweringImpossible
from programs.execution import Executor, Outcome, PlanExecutor
from programs.program import Program

Shown = Mapping[str, Demo]
"""What a run shows of each predictor it called."""


_EXACT = 1e-9  # scores that differ by less are the same


class Subject(NamedTuple):
    """What is optimised."""

    program: Program
    module: dspy.Module


class Pace(NamedTuple):
    """How fast to go, the dev score at which to stop, and what 1,000 tokens of a prompt take from a score."""

    seed: int
    concurrency: int
    target: float | None = None
    token_price: float = 0.0


class Crew(NamedTuple):
    """Who answers, who shows how, and the model that writes instructions."""

    student: Scorer
    teacher: Scorer
    proposer: RecordedModel


class Bench:
    """Scores candidates with the student, and lets the teacher show how an example is solved."""

    def __init__(
        self,
        subject: Subject,
        examples: tuple[Examples, Examples],
        crew: Crew,
        pace: Pace,
        report: Callable[[Event], None],
        window: Window | None = None,
    ) -> None:
        """`examples` are those to train and those to select with. Without a window everything fits."""
        self.subject = subject
        self.train, self.dev = examples
        self.student, self.teacher, self.proposer = crew
        self.seed, self.concurrency, self.target, self._token_price = pace
        self.report = report
        self.best: tuple[Candidate, float | None] = (PLAIN, None)
        rows = (*self.train, *self.dev)
        self.room = None if window is None else Room(subject, rows, window, report)
        self._executors: dict[Candidate, Executor] = {}
        self._scores: dict[Candidate, float] = {}
        self._fitting: dict[Candidate, Candidate | None] = {}
        self._tokens: dict[Candidate, int | None] = {}
        self._one_at_a_time = asyncio.Lock()

    def offer(self, candidate: Candidate, score: float | None = None) -> None:
        """A usable candidate with its score on all dev examples, None where it has none.

        The best one offered is what a search that is ended early comes to; of those without a score the last.

        Raises:
            SearchEnded: the score reaches the target.
        """
        if score is not None:
            self._scores.setdefault(candidate, score)
        _, best = self.best
        if best is None or (score is not None and self._is_better(candidate, self.best[0])):
            self.best = candidate, score
        if score is not None and self.target is not None and score >= self.target:
            for scorer in (self.student, self.teacher):
                scorer.model.spending.search_over = True
            raise SearchEnded(
                f"the search was ended: {candidate.name!r} scores {score:.3f} on the dev examples, the "
                f"target is {self.target:g}"
            )

    def preferred(self, found: Candidate) -> Candidate:
        """What an optimiser found; where tokens have a price, a better bargain among what it offered."""
        best, score = self.best
        if self._token_price and score is not None and found in self._scores:
            return best if self._is_better(best, found) else found
        return found

    def handicap(self, candidate: Candidate) -> float:
        """What the length of its prompt takes from its score; nothing where nobody counts tokens."""
        return self._token_price * (self._tokens.get(candidate) or 0) / 1000

    def prompt_tokens(self, candidate: Candidate) -> int | None:
        """Tokens of the constant part of its prompts, once it is known to fit."""
        return self._tokens.get(candidate)

    def _is_better(self, one: Candidate, other: Candidate) -> bool:
        net = [self._scores[candidate] - self.handicap(candidate) for candidate in (one, other)]
        return net[0] > net[1] + _EXACT

    async def fits(self, candidate: Candidate) -> Candidate | None:
        """The candidate with as many demonstrations as fit the student's window, the first ones.

        None when its instructions alone are too long; it is told to be dropped then.
        """
        async with self._one_at_a_time:
            if candidate not in self._fitting:
                fitting = candidate if self.room is None else await self.room.fits(candidate)
                self._fitting[candidate] = fitting
                if fitting is None:
                    self._drop(candidate)
                elif self.room is not None:
                    self._fitting[fitting] = fitting
                    self._tokens[fitting] = await self.room.size(fitting)
            return self._fitting[candidate]

    def _told_too_long(self, candidate: Candidate) -> None:
        """One that would fit with fewer demonstrations, and was tried with all of them."""
        if self._fitting[candidate] is not None and candidate not in self._scores:
            self._scores[candidate] = 0.0
            self._drop(candidate)

    def _drop(self, candidate: Candidate) -> None:
        self.report(CandidateScored(candidate.name, 0.0, 0, False, True, demos=candidate.demo_count))

    def predictors(self) -> Mapping[str, dspy.Predict]:
        return dict(self.subject.module.named_predictors())

    async def score(self, candidate: Candidate, example: dspy.Example) -> Answer:
        """The student's answer under this candidate's prompts, judged; one that does not fit is not asked."""
        if await self.fits(candidate) is not candidate:
            self._told_too_long(candidate)
            return Answer(0.0, fault="too_long", error="its demonstrations do not fit the student's window")
        if candidate not in self._executors:
            self._executors[candidate] = executor(self.subject.module, self.subject.program, candidate)
        return await self.student.answer(self._executors[candidate], example)

    async def show(
        self,
        candidate: Candidate,
        example: dspy.Example,
        threshold: float | None = None,
        temperature: float | None = None,
    ) -> Shown | None:
        """The teacher's run on an example, as demonstrations; None when the metric does not pass it.

        Without a threshold every score above 0 passes. `temperature` replaces the program's own where given.
        """
        run = _TracedRun(self.subject, candidate, example)
        params = {} if temperature is None else {"temperature": temperature}
        answer = await self.teacher.answer(run.executor, example, params, run.trace_of)
        passed = answer.score > 0 if threshold is None else answer.score >= threshold
        return run.shown() if passed and answer.fault is None else None


class _TracedRun:
    """One run of a candidate that keeps what every predictor was given and said."""

    def __init__(self, subject: Subject, candidate: Candidate, example: dspy.Example) -> None:
        self._trace: Trace = []
        self._example = example
        self._module = candidate.applied_to(subject.module)
        self.executor: Executor
        try:
            self.executor = PlanExecutor(lower(subject.module, subject.program, candidate, None))
        except LoweringImpossible:
            self.executor = interpreted(self._module, subject.program, trace=self._trace)

    def trace_of(self, outcome: Outcome) -> Trace:
        if isinstance(self.executor, PlanExecutor):
            prediction = dspy.Prediction(**outcome.outputs)
            inputs = dict(self._example.inputs().items())
            self._trace = [(sole_predictor(self._module), inputs, prediction)]
        return self._trace

    def shown(self) -> Shown:
        """The predictor's demonstration, or where it was called repeatedly, its last: it saw the most."""
        names = {id(predictor): name for name, predictor in self._module.named_predictors()}
        calls: dict[str, list[Demo]] = defaultdict(list)
        for predictor, inputs, outputs in self._trace:
            # Modules that copy themselves for an attempt call predictors that have no name here.
            if id(predictor) in names:
                values = {**dict(inputs.items()), **dict(outputs.items())}
                calls[names[id(predictor)]].append(demo_of(values, predictor.signature))
        return {name: demos[-1] for name, demos in calls.items()}
