"""Values of a program's own types as JSON holds them: a model is an object, the member of an enum its value.

Needs dspy.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import dspy
from dspy.adapters.types.base_type import Type
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from programs.tool_objects import plain_output, plain_tools


def plain_input(value: Any) -> Any:
    """What a request would hold for the value; what only DSPy can show, as an image, is left as it is."""
    if isinstance(value, dspy.Tool):
        return plain_tools(value)
    if isinstance(value, Type):
        return plain_output(value)
    if isinstance(value, dspy.History):
        return [plain_input(turn) for turn in value.messages]
    if isinstance(value, BaseModel | Enum):
        return to_jsonable_python(value, serialize_unknown=True)
    if isinstance(value, list | tuple):
        return [plain_input(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain_input(item) for key, item in value.items()}
    return value


def plain_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a module gave, all of it as JSON."""
    return {name: _plain_output(value) for name, value in outputs.items()}


def _plain_output(value: Any) -> Any:
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, dspy.Reasoning):
        return value.content
    if isinstance(value, dspy.Code):
        return value.code
    return to_jsonable_python(plain_output(value), serialize_unknown=True, bytes_mode="base64")
