"""Holding a student to its program's format: what is added to a request where the engine can do it.

A constrained model can't break the format, however small it is. Where its free reply has that format, and
the most likely token is taken each time, the constrained reply is the same.
"""

from __future__ import annotations

from gateway.catalog import Runnable
from gateway.students import ServedStudent


def constraint(runnable: Runnable, student: ServedStudent) -> dict[str, object]:
    """vLLM's own parameter; nothing for other engines and for programs that are more than one format."""
    if runnable.identity.kind == "interpreted" or student.student.engine.kind != "vllm":
        return {}
    if any(field.type == "json" for field in runnable.executor.outputs):
        return {}  # an object may be of any depth, and no expression is
    return {"structured_outputs": {"regex": runnable.pattern}}
