"""One version of a program that an optimiser tries: instructions and demonstrations for its predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

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
        return max((len(demos) for demos in self.demos.values()), default=0)


PLAIN = Candidate("unoptimised")


def demo_of(example: Mapping[str, Any], signature: type[dspy.Signature]) -> Demo:
    """What of an example, or of a call's inputs and outputs, a predictor can show."""
    return {name: example[name] for name in signature.fields if name in example}
