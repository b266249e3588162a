"""Ensemble: the best few of the candidates that random search makes, asked together.

DSPy's optimiser of the same name asks its programs one after the other and saves none of them; here the
members are plans of one release, which the gateway asks at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, ConfigDict

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate, EnsembleCandidate
from compiler.errors import ArgumentInvalid
from compiler.events import Log
from compiler.lowering import lower
from compiler.optimizers.expected import Runs
from compiler.optimizers.race import score_alone
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.proof import require_plan
from programs.ensemble import FEWEST_MEMBERS, MOST_MEMBERS
from programs.plan import Message
from programs.reducers import REDUCERS, refusal


def _known_reducer(name: str) -> str:
    if name not in REDUCERS:
        raise ValueError(f"known reducers are {', '.join(REDUCERS)}")
    return name


@dataclass(frozen=True)
class Ensemble:
    """The `size` candidates with the best dev scores become members; `reduce` makes one answer of theirs."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Annotated[int, Ge(FEWEST_MEMBERS), Le(MOST_MEMBERS)] = 3
    reduce: Annotated[str, AfterValidator(_known_reducer)] = "majority"
    num_candidate_programs: Annotated[int, Ge(1)] = 8
    max_bootstrapped_demos: Annotated[int, Ge(1)] = 4
    max_labeled_demos: Annotated[int, Ge(0)] = 4
    max_rounds: Annotated[int, Ge(1)] = 1
    metric_threshold: float | None = None

    async def optimise(self, bench: Bench) -> Candidate:
        require_plan(bench.subject, bench.train, "Ensemble")
        self._check(bench)
        race = await self._search().race(bench, keep=self.size)
        best = race.best()
        members = _with_own_prompts(bench, [member for member, _ in best])
        if len(members) < self.size:
            told = f"Members that fit and have a prompt of their own: {len(members)} of {self.size}."
            bench.report(Log(told))
        if len(members) < FEWEST_MEMBERS:
            bench.report(Log("One prompt has nothing to vote with: it is released as a plan."))
            return race.winner()
        asked = EnsembleCandidate(f"{self.reduce} of {len(members)}", members=members, reduce=self.reduce)
        # At temperature 0 the members' answers are known from the race: this asks nothing anew.
        found, together = await score_alone(asked, bench)
        alone = best[0][1]
        if together <= alone:
            bench.report(
                Log(
                    f"The ensemble scores {together:.3f} on the dev examples, its best member alone "
                    f"{alone:.3f}: it is released as asked, but BootstrapFewShotWithRandomSearch would give "
                    f"as much with one call an answer instead of {len(members)}."
                )
            )
        return found

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        one = self._search().expected_runs(train, dev, pass_rate)
        # Each further member is run on all dev examples; none is run more than once.
        scored = min(one.scored + dev * (self.size - 1), dev * (self.num_candidate_programs + 3))
        return one._replace(scored=scored, members=self.size)

    def _search(self) -> BootstrapFewShotWithRandomSearch:
        return BootstrapFewShotWithRandomSearch(
            self.max_bootstrapped_demos,
            self.max_labeled_demos,
            self.num_candidate_programs,
            self.max_rounds,
            self.metric_threshold,
        )

    def _check(self, bench: Bench) -> None:
        """Raises ArgumentInvalid for what could not become a release, before anything is paid for."""
        if self.size > self.num_candidate_programs + 3:
            raise ArgumentInvalid(
                f"Ensemble: size={self.size} is more than the {self.num_candidate_programs + 3} candidates "
                f"that num_candidate_programs={self.num_candidate_programs} makes"
            )
        program, module = bench.subject
        plan = lower(module, program, PLAIN, None)
        answer = next(field for field in plan.outputs if field.name == program.chat.answer)
        why = refusal(self.reduce, answer)
        if why is not None:
            raise ArgumentInvalid(f"Ensemble: {why}")


def _with_own_prompts(bench: Bench, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of candidates with the same prompt, which differ in their name only, the best."""
    program, module = bench.subject
    first: dict[tuple[Message, ...], Candidate] = {}
    for candidate in candidates:
        first.setdefault(lower(module, program, candidate, None).prefix, candidate)
    return list(first.values())
