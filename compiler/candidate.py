"""One version of a program that an optimiser tries: instructions and demonstrations for its predictors.

Two forms are more than one prompt, and need a program that is a constant prompt: demonstrations chosen for
each request, and several prompts that vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from programs.embedding import LearntEmbedder

Demo = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Compared by identity. A predictor that is not named keeps what the program gave it."""

    name: str
    demos: Mapping[str, Sequence[Demo]] = field(default_factory=dict)
    instructions: Mapping[str, str] = field(default_factory=dict)

    def applied_to(self, module: dspy.Module) -> dspy.Module:
        """A copy of the module with this candidate's prompts."""
        copy = module.deepcopy()
        for name, predictor in copy.named_predictors():
            if name in self.demos:
                predictor.demos = [dspy.Example(**demo) for demo in self.demos[name]]
            if name in self.instructions:
                predictor.signature = predictor.signature.with_instructions(self.instructions[name])
        return copy

    @property
    def demo_count(self) -> int:
        """How many demonstrations a prompt shows at most."""
        return max((len(demos) for demos in self.demos.values()), default=0)

    def longest(self) -> Candidate:
        """The candidate of one prompt that is as long as any this one can send."""
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class NeighbourCandidate(Candidate):
    """Shows each request the `k` demonstrations of a pool that lie nearest to it.

    `demos` stays empty, and `applied_to` gives the module without demonstrations: which are shown, only a
    request says.
    """

    predictor: str
    pool: Sequence[Demo]
    vectors: Sequence[Sequence[float]]
    """One for each demonstration of the pool."""
    embedder: LearntEmbedder
    k: int

    @property
    def demo_count(self) -> int:
        return min(self.k, len(self.pool))

    def longest(self) -> Candidate:
        by_length = sorted(self.pool, key=_length, reverse=True)
        return Candidate(self.name, {self.predictor: by_length[: self.k]}, self.instructions)


@dataclass(frozen=True, eq=False, kw_only=True)
class EnsembleCandidate(Candidate):
    """Asks all members and reduces their answers to one.

    `demos` stays empty; `applied_to` gives the module of the first member, which is the best one.
    """

    members: Sequence[Candidate]
    reduce: str

    def applied_to(self, module: dspy.Module) -> dspy.Module:
        return self.members[0].applied_to(module)

    @property
    def demo_count(self) -> int:
        return max(member.demo_count for member in self.members)

    def longest(self) -> Candidate:
        return max(self.members, key=lambda member: sum(map(_length, _all_demos(member))))


PLAIN = Candidate("unoptimised")


def demo_of(example: Mapping[str, Any], signature: type[dspy.Signature]) -> Demo:
    """What of an example, or of a call's inputs and outputs, a predictor can show."""
    return {name: example[name] for name in signature.fields if name in example}


def _all_demos(candidate: Candidate) -> list[Demo]:
    return [demo for demos in candidate.demos.values() for demo in demos]


def _length(demo: Demo) -> int:
    return sum(len(str(value)) for value in demo.values())
