"""Programs that declare tools: which of their fields takes the tools, which gives the calls, what calls must
hold.

Such a program only says what to call; who asked it runs the tools and asks again with what they gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from programs.plan import Field
from programs.tools import Call, read_calls, read_offer


class ToolFields(NamedTuple):
    """The input that takes a request's tools, and the output that calls them."""

    tools: Field
    calls: Field

    def calls_in(self, outputs: Mapping[str, Any]) -> list[Call]:
        value = outputs.get(self.calls.name)
        # A reply that was cut has texts only.
        return read_calls(value) if isinstance(value, dict | list) else []


def tool_fields(inputs: Sequence[Field], outputs: Sequence[Field]) -> ToolFields | None:
    """The fields of a program that declares tools; None where it declares none."""
    tools = next((field for field in inputs if field.type in ("tools", "tool")), None)
    calls = next((field for field in outputs if field.type == "tool_calls"), None)
    return ToolFields(tools, calls) if tools is not None and calls is not None else None


@dataclass(frozen=True)
class CallsFit:
    """Every call is of a tool that was offered, with arguments as its schema wants them."""

    field: str
    tools: str

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        value = outputs.get(self.field)
        try:
            calls = [] if value is None else read_calls(value)
        except ValueError:
            return f"{self.field!r} must be calls of tools"
        why = read_offer(inputs.get(self.tools) or []).problem(calls)
        return None if why is None else f"{self.field!r}: {why}"


def calls_checks(inputs: Sequence[Field], outputs: Sequence[Field]) -> tuple[CallsFit, ...]:
    """What the answers of a program with these fields must hold, whatever else it checks."""
    fields = tool_fields(inputs, outputs)
    return () if fields is None else (CallsFit(fields.calls.name, fields.tools.name),)
