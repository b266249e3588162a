"""What a build changes in a DSPy module, as data: the state of its predictors, and whose state it is.

Needs dspy.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import dspy

from programs.errors import ReleaseInvalid
from programs.plain_values import plain_input
from programs.program import Program


def dump_state(module: dspy.Module) -> dict[str, Any]:
    """Instructions and demonstrations of every predictor, nothing else."""
    return {
        name: {
            "instructions": predictor.signature.instructions,
            "demos": [_plain(dict(demo)) for demo in predictor.demos],
        }
        for name, predictor in module.named_predictors()
    }


def load_state(module: dspy.Module, state: Mapping[str, Any]) -> dspy.Module:
    """Puts a state into a fresh module.

    Raises:
        ReleaseInvalid: the state names other predictors or holds anything but instructions and demos.
    """
    predictors = dict(module.named_predictors())
    if state.keys() != predictors.keys():
        raise ReleaseInvalid(
            f"state.json has predictors {sorted(state)}, the program has {sorted(predictors)}"
        )
    for name, part in state.items():
        if not isinstance(part, dict) or part.keys() != {"instructions", "demos"}:
            raise ReleaseInvalid(f"state.json: {name!r} may hold 'instructions' and 'demos' only")
        predictor = predictors[name]
        if not isinstance(part["instructions"], str) or not isinstance(part["demos"], list):
            raise ReleaseInvalid(f"state.json: {name!r} needs a text and a list")
        predictor.signature = predictor.signature.with_instructions(part["instructions"])
        predictor.demos = [dspy.Example(**_revived(demo, predictor.signature)) for demo in part["demos"]]
    return module


def signature_fingerprint(module: dspy.Module) -> str:
    """SHA-256 over names, order, types and descriptions of every predictor's fields."""
    shape = {
        name: [
            [field, str(info.annotation), info.json_schema_extra]
            for field, info in predictor.signature.fields.items()
        ]
        for name, predictor in module.named_predictors()
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True, default=str).encode()).hexdigest()


def source_digest(program: Program) -> str:
    """SHA-256 over the source file that defines the program's module."""
    file = inspect.getsourcefile(inspect.unwrap(program.make_module))
    if file is None:
        raise ReleaseInvalid(f"program {program.name!r} has no source file to digest")
    with open(file, "rb") as source:
        return hashlib.sha256(source.read()).hexdigest()


def _plain(demo: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain_input(value) for key, value in demo.items()}


def _revived(demo: Mapping[str, Any], signature: type[dspy.Signature]) -> dict[str, Any]:
    histories = {name for name, info in signature.input_fields.items() if info.annotation is dspy.History}
    return {k: dspy.History(messages=v) if k in histories and v is not None else v for k, v in demo.items()}
