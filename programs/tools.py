"""Tools that a client offers and runs itself, and the calls of them that a program writes.

A tool is read from JSON as OpenAI has it, and shown to a model as DSPy shows a `dspy.Tool`. Calls are kept as
DSPy writes them down: `{"tool_calls": [{"name": ..., "args": {...}}]}`. Nothing of a tool is ever run here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from programs.json_schema import MOST_SCHEMAS, JsonSchema, SchemaUnusable, kinds_of
from programs.json_values import mended_json, write_json

MOST_TOOLS = 128
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class ToolsUnusable(ValueError):
    """Its text says which tool and why, as in "tools[0] has no name"."""


@dataclass(frozen=True)
class ClientTool:
    """One function that a client can run. `strict` refuses a schema of which not all would be checked."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """A JSON Schema of the object that holds its arguments."""
    strict: bool = False

    @cached_property
    def schema(self) -> JsonSchema:
        """Raises SchemaUnusable."""
        return JsonSchema(self.parameters, "refuse" if self.strict else "pass_over")

    @cached_property
    def args(self) -> dict[str, Any]:
        """Each argument's schema, as DSPy has them: without references, and optional where it has a default.

        Raises:
            ToolsUnusable: written out it would be too large.
        """
        written = _Written(self.schema)
        properties = self.parameters.get("properties", {})
        required = self.parameters.get("required", ())
        return {name: _optional(written.out(schema), name in required) for name, schema in properties.items()}

    @cached_property
    def depth(self) -> float:
        """How many levels of lists and objects an argument may have; infinity where its schema repeats."""
        return max(map(_levels, self.args.values()), default=0)

    @property
    def text(self) -> str:
        """What a model sees of it."""
        told = f", whose description is <desc>{self.description}</desc>." if self.description else "."
        line = told.replace("\n", "  ")
        return f"{self.name}{line} It takes arguments {self.args}."

    def misfit(self, args: Mapping[str, Any]) -> str | None:
        """How a call's arguments break the schema, and never what they are."""
        lacking = [name for name in self.parameters.get("required", ()) if name not in args]
        if lacking:
            return f"they lack {', '.join(map(repr, lacking))}"
        try:
            return self.schema.problem(json.loads(write_json(args)))
        except SchemaUnusable as error:
            return f"they can't be checked: {error}"

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}


@dataclass(frozen=True)
class Offer:
    """The tools of one request, and how many calls of them it takes; `most` None is any number."""

    tools: tuple[ClientTool, ...] = ()
    fewest: int = 0
    most: int | None = None

    @property
    def depth(self) -> float:
        """That of the tool with the deepest arguments."""
        return max((tool.depth for tool in self.tools), default=0)

    @property
    def texts(self) -> list[str]:
        return [tool.text for tool in self.tools]

    def __str__(self) -> str:
        return "\n".join(self.texts)

    def problem(self, calls: Sequence[Call]) -> str | None:
        """What is wrong with these calls, without a word that only the model wrote."""
        if calls and not self.tools:
            return "there are no tools to call, so it must hold no calls"
        if len(calls) < self.fewest:
            return f"it must call {' or '.join(repr(tool.name) for tool in self.tools)}"
        if self.most is not None and len(calls) > self.most:
            return f"it may hold {self.most or 'no'} call{'' if self.most == 1 else 's'} at most"
        known = {tool.name: tool for tool in self.tools}
        for call in calls:
            tool = known.get(call.name)
            if tool is None:
                return f"it calls a tool that there is not; there are {', '.join(map(repr, known))}"
            misfit = tool.misfit(call.args)
            if misfit is not None:
                return f"the args of a call of {call.name!r} do not fit: {misfit}"
        return None


class Call(NamedTuple):
    """One call of a tool, as a program writes it."""

    name: str
    args: dict[str, Any]


def read_offer(value: object) -> Offer:
    """The tools in a JSON value: a list of them, or one alone; what was read before is taken as it is.

    Raises:
        ToolsUnusable: carries the first of them that can't be used, and why.
    """
    if isinstance(value, Offer):
        return value
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list | tuple):
        raise ToolsUnusable("must be a list of tools")
    if len(items) > MOST_TOOLS:
        raise ToolsUnusable(f"may hold at most {MOST_TOOLS} tools")
    tools = tuple(_tool(item, f"[{place}]") for place, item in enumerate(items))
    names = [tool.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ToolsUnusable(f"holds two tools of the name {twice!r}")
    return Offer(tools)


def read_calls(value: object) -> list[Call]:
    """The calls in a value that a model wrote, in any of the forms that `dspy.ToolCalls` takes.

    Raises:
        ValueError: it holds no calls.
    """
    match value:
        case list() if all(isinstance(item, dict) and _is_call(item) for item in value):
            return [_call(item) for item in value]
        case {"tool_calls": list() as items} if all(isinstance(item, dict) for item in items):
            return [_call(item) for item in items]
        case dict() if "tool_calls" not in value and _is_call(value):
            return [_call(value)]
    raise ValueError("it holds no calls of tools")


def calls_as_dict(calls: Sequence[Call]) -> dict[str, Any]:
    """Calls as a program's output holds them."""
    return {"tool_calls": [call._asdict() for call in calls]}


def plain_calls(value: object) -> dict[str, Any]:
    """The same from any form. Raises ValueError."""
    return calls_as_dict(read_calls(value))


def call_variants(value: Any) -> Any:
    """The same of a label, which may also be a list of several accepted ones. Raises ValueError."""
    try:
        return plain_calls(value)
    except ValueError:
        if not isinstance(value, list):
            raise
        return [plain_calls(variant) for variant in value]


def without_results(value: Any) -> tuple[Any, Any]:
    """Calls of a past turn, and what they gave where that is known; both as DSPy writes them down."""
    if not isinstance(value, Mapping) or value.get("tool_call_results") is None:
        return value, None
    given = value["tool_call_results"]
    said = {name: part for name, part in value.items() if name != "tool_call_results"}
    return said, given if isinstance(given, Mapping) else {"tool_call_results": given}


def _tool(item: object, where: str) -> ClientTool:
    if not isinstance(item, Mapping):
        raise ToolsUnusable(f"{where} is no object")
    kind = item.get("type", "function")
    if kind != "function":
        raise ToolsUnusable(f"{where} is of type {str(kind)[:40]!r}; only functions can be called")
    function = item.get("function", item)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ToolsUnusable(f"{where} has no name")
    name, description = function["name"], function.get("description") or ""
    if not _NAME.fullmatch(name):
        raise ToolsUnusable(
            f"{where} has the name {name[:80]!r}; letters, digits, '_', '-' and '.' are taken"
        )
    if not isinstance(description, str):
        raise ToolsUnusable(f"{where} ({name}) has a description that is no text")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    fits = isinstance(parameters, Mapping) and parameters.get("type", "object") == "object"
    if not fits or "$ref" in parameters:
        raise ToolsUnusable(f"{where} ({name}) has parameters that are no schema of an object")
    tool = ClientTool(name, description, parameters, bool(function.get("strict")))
    try:
        tool.args  # noqa: B018 - read now, so that a schema that can't be used is told before anything runs
    except SchemaUnusable as error:
        raise ToolsUnusable(f"{where} ({name}) has parameters that can't be used: {error}") from error
    except ToolsUnusable as error:
        raise ToolsUnusable(f"{where} ({name}) {error}") from error
    return tool


class _Written:
    """Schemas written out: what a reference leads to stands in its place, but not within itself."""

    def __init__(self, schema: JsonSchema) -> None:
        self._targets = schema.targets
        self._parts = 0

    def out(self, value: Any, within: tuple[str, ...] = ()) -> Any:
        self._parts += 1
        if self._parts > MOST_SCHEMAS:
            raise ToolsUnusable("has parameters that are too large")
        if isinstance(value, list):
            return [self.out(item, within) for item in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str) and reference in self._targets and reference not in within:
            target = self.out(self._targets[reference], (*within, reference))
            rest = {key: self.out(part, within) for key, part in value.items() if key != "$ref"}
            return {**target, **rest} if isinstance(target, dict) else target
        return {key: self.out(part, within) for key, part in value.items()}


def _levels(schema: Any) -> float:
    if isinstance(schema, list):
        return max(map(_levels, schema), default=0)
    if not isinstance(schema, Mapping):
        return 0
    if "$ref" in schema:
        return math.inf
    named = schema.get("properties", {})
    inner = [*named.values(), schema.get("items"), schema.get("additionalProperties")]
    beside = max(_levels(schema.get(keyword, [])) for keyword in ("anyOf", "oneOf", "allOf"))
    own = {"array", "object"} & {*kinds_of(schema.get("type", ""))} or schema.keys() & {"properties", "items"}
    return max(beside, 1 + max(map(_levels, inner))) if own else beside


def _optional(schema: Any, required: bool) -> Any:
    if required or (isinstance(schema, dict) and "default" in schema):
        return schema
    return {**(schema if isinstance(schema, dict) else {}), "default": None}


def _is_call(value: Mapping[str, Any]) -> bool:
    return ("name" in value and ("args" in value or "arguments" in value)) or "function" in value


def _call(value: Mapping[str, Any]) -> Call:
    """One call by DSPy's rules, which also read what other providers write."""
    inner = value
    if "function" in value:
        inner = value["function"] or {}
        if not isinstance(inner, dict):
            raise ValueError("a call's function is no object")
        name, args = inner.get("name") or value.get("name"), inner.get("arguments", {})
    else:
        name, args = value.get("name"), value.get("args", value.get("arguments", {}))
    if isinstance(args, str):
        args = mended_json(args)
    elif not isinstance(args, dict):
        args = {}
    id = value.get("id") or value.get("call_id")
    if not isinstance(name, str) or not isinstance(args, dict) or not isinstance(id, str | None):
        raise ValueError("a call needs a name and an object of arguments")
    try:
        return Call(name, json.loads(write_json(args)))
    except TypeError as error:
        raise ValueError("a call's arguments are no JSON") from error
