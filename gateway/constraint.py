"""Holding a student to its program's format: what is added to a request where the engine can do it.

A constrained model can't break the format, however small it is. Where its free reply has that format, and
the most likely token is taken each time, the constrained reply is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.catalog import Runnable
from gateway.place import ServedStudent
from programs.output_pattern import DEEPEST_ARGS, output_pattern
from programs.tools import read_offer

CONSTRAINTS = frozenset({"structured_outputs"})
"""The parameters that may be added here, and that other engines do not know."""


def constraint(runnable: Runnable, student: ServedStudent, inputs: Mapping[str, Any]) -> dict[str, object]:
    """vLLM's own parameter; nothing for other engines and for programs that are more than one format.

    Calls are held to the names of the request's tools, and to as many as it wants. Nothing is held where a
    tool takes arguments that are nested deeper than an expression can follow.
    """
    if runnable.identity.kind == "interpreted" or student.student.engine.kind != "vllm":
        return {}
    if any(field.type == "json" for field in runnable.executor.outputs):
        return {}  # an object may be of any depth, and no expression is
    if runnable.tools is None:
        return {"structured_outputs": {"regex": runnable.pattern}}
    offer = read_offer(inputs[runnable.tools.tools.name])
    if offer.depth > DEEPEST_ARGS:
        return {}
    return {"structured_outputs": {"regex": output_pattern(runnable.executor.outputs, offer)}}
