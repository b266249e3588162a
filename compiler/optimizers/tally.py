"""What a search of DSPy's has tried: prompts as candidates of ours, with their scores on the dev rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import dspy

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate, Demo, demo_of
from compiler.events import CandidateScored, Scored


class Prompt(NamedTuple):
    """What optimisers change of a predictor."""

    instructions: str
    demos: Sequence[Demo]


State = Mapping[str, Prompt]


def state_of(module: dspy.Module) -> State:
    """What a module's predictors say now, by their names."""
    return {
        name: Prompt(
            predictor.signature.instructions,
            [demo_of(dict(demo.items()), predictor.signature) for demo in predictor.demos],
        )
        for name, predictor in module.named_predictors()
    }


class Tally:
    """Names candidates in the order in which they are tried, and offers those that had all dev rows."""

    def __init__(self, name: str, bench: Bench, enough: int, expected: int) -> None:
        """`enough` dev rows are all that the search gives a candidate; it makes about `expected` runs."""
        self._name, self._bench = name, bench
        self._enough, self._expected = enough, expected
        self._plain = state_of(bench.subject.module)
        self._candidates: dict[str, Candidate] = {repr(self._plain): PLAIN}
        self._dev = {id(example): index for index, example in enumerate(bench.dev)}
        self._scores: dict[Candidate, dict[int, float]] = defaultdict(dict)
        self.told: set[str] = set()
        """Names of the candidates that had all dev rows, and were told of."""
        self._judged = 0
        self._sum = 0.0

    def candidate(self, state: State) -> Candidate:
        """The same candidate for the same prompts."""
        key = repr(state)
        if key not in self._candidates:
            changed = {
                name: prompt.instructions
                for name, prompt in state.items()
                if prompt.instructions != self._plain[name].instructions
            }
            demos = {name: prompt.demos for name, prompt in state.items()}
            self._candidates[key] = Candidate(f"{self._name} {len(self._candidates)}", demos, changed)
        return self._candidates[key]

    def judged(self, candidate: Candidate, example: dspy.Example, score: float) -> None:
        """Notes one score.

        Raises:
            SearchEnded: the candidate reaches the target.
        """
        self._judged += 1
        self._sum += score
        total = max(self._expected, self._judged + 1)  # it is not through before DSPy says so
        mean = self._sum / self._judged
        self._bench.report(Scored("optimise", self._judged, total, mean, candidate.name))
        index = self._dev.get(id(example))
        if index is None or index in self._scores[candidate]:
            return
        scores = self._scores[candidate]
        scores[index] = score
        if len(scores) == self._enough:
            self._offer(candidate, sum(scores.values()) / len(scores))

    def _offer(self, candidate: Candidate, mean: float) -> None:
        _, best = self._bench.best
        self.told.add(candidate.name)
        leads = best is None or mean > best
        tokens = self._bench.prompt_tokens(candidate)
        self._bench.report(
            CandidateScored(candidate.name, mean, self._enough, leads, False, tokens, candidate.demo_count)
        )
        self._bench.offer(candidate, mean)
