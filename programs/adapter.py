"""The reference for every prompt and every reply: a ChatAdapter that optimiser, scorer and proof share.

Differs from DSPy's own in five points: no second call in another format; past turns leave out the outputs
they do not have, and their tools; an input that is None is left out; demonstrations show their history as
turns; markers in values are neutralised. Without any of these it renders byte for byte what stock ChatAdapter
renders.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

import dspy
from dspy.adapters.chat_adapter import ChatAdapter, field_header_pattern
from dspy.adapters.types.base_type import Type
from dspy.adapters.utils import parse_value
from dspy.utils.exceptions import AdapterParseError
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

from programs.json_values import MOST_MENDED, mended_json
from programs.plan import neutralise, results_content, shown_tools
from programs.tools import read_offer, without_results

_Messages = list[dict[str, Any]]


class ProgramAdapter(ChatAdapter):
    """ChatAdapter with honest history and unforgeable fields."""

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)
        # A program's own signatures stay; those that a module makes as it runs go when it is done with them.
        self._systems: WeakKeyDictionary[type[dspy.Signature], str] = WeakKeyDictionary()

    def format_system_message(self, signature: type[dspy.Signature]) -> str:
        """Made once: writing it out takes longer than all the rest of a prompt."""
        known = self._systems.get(signature)
        if known is None:
            known = self._systems[signature] = str(super().format_system_message(signature))
        return known

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> _Messages:
        name = self._get_history_field_name(signature)
        asked = {k: v for k, v in self._harmless(signature, inputs).items() if v is not None}
        if name and asked.get(name) is None:
            asked[name] = dspy.History(messages=[])
        shown = [self._harmless(signature, demo) for demo in demos]
        messages: _Messages = super().format(signature, shown, asked)
        return messages

    def _harmless(self, signature: type[dspy.Signature], values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with their markers neutralised, tools as their texts."""
        name = self._get_tool_call_input_field_name(signature)
        told = {k: _neutral(v) for k, v in values.items() if k != name}
        if name is None or values.get(name) is None:
            return told
        alone = signature.input_fields[name].annotation is dspy.Tool
        tools = _tools("tool" if alone else "tools", values[name])
        return {k: tools if k == name else told[k] for k in values}

    def format_demos(self, signature: type[dspy.Signature], demos: list[dict[str, Any]]) -> _Messages:
        name = self._get_history_field_name(signature)
        if name is None:
            return list(super().format_demos(signature, demos))
        bare = signature.delete(name)
        complete = [demo for demo in demos if all(demo.get(k) is not None for k in bare.fields)]
        incomplete = [demo for demo in demos if demo not in complete]
        messages: _Messages = []
        for demo in [*incomplete, *complete]:
            shown = super().format_demos(bare, [demo])
            if shown and demo.get(name) is not None:
                messages += self.format_conversation_history(bare, name, dict(demo))
            messages += shown
        return messages

    def format_conversation_history(
        self, signature: type[dspy.Signature], history_field_name: str, inputs: dict[str, Any]
    ) -> _Messages:
        history = inputs.pop(history_field_name, None)
        tools = self._get_tool_call_input_field_name(signature)
        messages: _Messages = []
        for past in history.messages if history is not None else []:
            turn = {name: value for name, value in past.items() if name != tools}
            given = []
            for name in signature.output_fields:
                said_then, result = without_results(neutralise(_as_dict(turn.get(name))))
                turn[name] = said_then
                given += [] if result is None else [result]
            if any(name in turn for name in signature.input_fields):
                content = self.format_user_message_content(signature, turn, main_request=True)
                messages.append({"role": "user", "content": content})
            said = signature
            for name in signature.output_fields:
                if turn.get(name) is None:
                    said = said.delete(name)
            if said.output_fields:
                content = self.format_assistant_message_content(said, turn)
                messages.append({"role": "assistant", "content": content})
            messages += [{"role": "user", "content": results_content(result)} for result in given]
        return messages

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        # Stock parsing cuts an indented marker line at the wrong column.
        lines = (
            line.lstrip() if field_header_pattern.match(line.strip()) else line
            for line in completion.splitlines()
        )
        text = "\n".join(lines)
        fields: dict[str, Any]
        if len(text) <= MOST_MENDED:
            fields = super().parse(signature, text)
            return fields
        # Long JSON is not mended, because that would take too long: each value is looked at by itself.
        as_texts = signature
        for name in signature.output_fields:
            as_texts = as_texts.with_updated_fields(name, type_=str)
        fields = super().parse(as_texts, text)
        return {name: _typed(signature, name, value, completion) for name, value in fields.items()}


def _typed(signature: type[dspy.Signature], name: str, value: Any, completion: str) -> Any:
    """An output's text as `FieldReader` types it."""
    annotation = signature.output_fields[name].annotation
    try:
        if isinstance(value, str) and len(value) > MOST_MENDED and mended_json(value) == "":
            return TypeAdapter(annotation).validate_python(value)
        return parse_value(value, annotation)
    except ValueError as error:
        raise AdapterParseError(
            adapter_name="ProgramAdapter",
            signature=signature,
            lm_response=completion,
            message=f"Failed to parse field {name}: {error}",
        ) from error


def _tools(kind: str, value: Any) -> Any:
    """What a prompt shows of tools; what is none, as the name of a place for some, is shown as it is."""
    if isinstance(value, list) and any(isinstance(tool, dspy.Tool) for tool in value):
        return [neutralise(str(tool)) for tool in value]
    if isinstance(value, dspy.Tool | str):
        return neutralise(str(value))
    return shown_tools(kind, read_offer(value))


def _as_dict(value: Any) -> Any:
    return value.model_dump() if isinstance(value, dspy.ToolCalls) else value


def _neutral(value: Any) -> Any:
    if isinstance(value, dspy.History):
        return dspy.History(messages=[neutralise(dict(turn)) for turn in value.messages])
    if isinstance(value, BaseModel | Enum) and not isinstance(value, Type):
        return neutralise(to_jsonable_python(value))
    if isinstance(value, list):
        return [_neutral(item) for item in value]
    if isinstance(value, dict):
        return {neutralise(key): _neutral(item) for key, item in value.items()}
    return neutralise(value)
