"""The prompts of a program as a model gets them: one for each predictor, a hole for each input."""

from __future__ import annotations

from typing import Any

import dspy

from compiler.candidate import Candidate
from programs.adapter import ProgramAdapter


def prompts_of(module: dspy.Module, candidate: Candidate) -> dict[str, list[dict[str, str]]]:
    """Messages by the predictor's name."""
    adapter = ProgramAdapter()
    return {
        name: [
            {"role": str(message["role"]), "content": str(message["content"])}
            for message in adapter.format(predictor.signature, list(predictor.demos), _holes(predictor))
        ]
        for name, predictor in candidate.applied_to(module).named_predictors()
    }


def _holes(predictor: dspy.Predict) -> dict[str, Any]:
    fields = predictor.signature.input_fields
    return {name: f"{{{name}}}" for name, field in fields.items() if field.annotation is not dspy.History}
