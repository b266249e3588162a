"""Tools and calls as DSPy's own objects, and back: modules are given `dspy.Tool`, requests and releases hold
JSON.

Needs dspy. The function of such a tool is never called: the client runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import dspy

from programs.errors import ProgramInvalid
from programs.plan import Field
from programs.tools import ClientTool, plain_calls, read_offer


def as_tools(value: object) -> list[dspy.Tool]:
    """Tools for a module, from JSON or from an offer.

    Raises:
        ToolsUnusable: they can't be used.
    """
    return [_as_tool(tool) for tool in read_offer(plain_tools(value)).tools]


def plain_tools(value: object) -> object:
    """Tools as JSON has them; what is none of DSPy's own is given back."""
    if isinstance(value, dspy.Tool):
        return _plain_tool(value)
    if isinstance(value, list | tuple):
        return [_plain_tool(item) if isinstance(item, dspy.Tool) else item for item in value]
    return value


def plain_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction's values with its calls as JSON has them."""
    return {name: plain_output(value) for name, value in outputs.items()}


def plain_output(value: Any) -> Any:
    """Calls as JSON has them, and every other value as it is."""
    return plain_calls(value.model_dump()) if isinstance(value, dspy.ToolCalls) else value


def given_tools(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a module is called with: tools as DSPy's own objects."""
    kinds = {field.name: field.type for field in fields if field.type in ("tools", "tool")}
    made = {name: as_tools(values.get(name) or []) for name in kinds}
    return {**values, **{n: tools[0] if kinds[n] == "tool" and tools else tools for n, tools in made.items()}}


def _as_tool(tool: ClientTool) -> dspy.Tool:
    # Without a docstring: DSPy would show it where the tool has no description of its own.
    def run(**arguments: Any) -> NoReturn:
        raise ProgramInvalid(f"the tool {tool.name!r} is run by the client; the program only calls it")

    types = dict.fromkeys(tool.args, Any)
    return dspy.Tool(run, name=tool.name, desc=tool.description, args=tool.args, arg_types=types)


def _plain_tool(tool: dspy.Tool) -> dict[str, Any]:
    """A tool of the program's own by DSPy's rule: what has no default is required."""
    args = tool.args or {}
    required = [name for name, schema in args.items() if "default" not in schema]
    parameters = {"type": "object", "properties": args, "required": required}
    return ClientTool(str(tool.name), tool.desc or "", parameters).as_dict()
