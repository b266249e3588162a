"""The prompts of a program as a model gets them: one for each predictor, a hole for each input."""

from __future__ import annotations

from typing import Any

import dspy

from compiler.candidate import PLAIN, Candidate, EnsembleCandidate, NeighbourCandidate
from programs.adapter import ProgramAdapter

Prompts = dict[str, list[dict[str, str]]]


def prompts_before_and_after(module: dspy.Module, candidate: Candidate) -> dict[str, Any]:
    """Of the unoptimised and the compiled program; `note` says which they are where that is not all."""
    return {
        "before": prompts_of(module, PLAIN),
        "after": prompts_of(module, candidate),
        "note": _note(candidate),
    }


def prompts_of(module: dspy.Module, candidate: Candidate) -> Prompts:
    """Messages by the predictor's name, of an ensemble those of each member."""
    if isinstance(candidate, EnsembleCandidate):
        return {
            f"{name} (member {number})": messages
            for number, member in enumerate(candidate.members, 1)
            for name, messages in prompts_of(module, member).items()
        }
    adapter = ProgramAdapter()
    return {
        name: [
            {"role": str(message["role"]), "content": str(message["content"])}
            for message in adapter.format(predictor.signature, list(predictor.demos), _holes(predictor))
        ]
        for name, predictor in candidate.longest().applied_to(module).named_predictors()
    }


def _note(candidate: Candidate) -> str | None:
    if isinstance(candidate, EnsembleCandidate):
        return f"Each of {len(candidate.members)} members is asked, and their answers become one."
    if isinstance(candidate, NeighbourCandidate):
        return (
            f"Each request is shown the {candidate.demo_count} demonstrations nearest to it, of "
            f"{len(candidate.pool)}; these are the longest ones."
        )
    return None


def _holes(predictor: dspy.Predict) -> dict[str, Any]:
    fields = predictor.signature.input_fields
    return {name: f"{{{name}}}" for name, field in fields.items() if field.annotation is not dspy.History}
