"""What a DSPy module takes and gives, where it is no constant prompt: read from the module itself.

Inputs arrive as JSON and reach the module as the types that it declares; outputs leave as JSON. Needs dspy.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple, get_type_hints

import dspy
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json, to_jsonable_python

from programs.errors import InputInvalid, LoweringImpossible
from programs.json_types import told
from programs.plain_values import plain_outputs
from programs.plan import Field, fits
from programs.program import Chat
from programs.signature import field_of
from programs.tool_objects import given_tools
from programs.tools import ToolsUnusable

_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


_JSON = (NoneType, str, bool, int, float, list, tuple, dict)


class _Input(NamedTuple):
    field: Field
    type: TypeAdapter[Any] | None
    """None where the module does not say, or says nothing that can be checked."""


class ModuleFields:
    """The fields of one module; `chat` says which outputs count, and which input takes the earlier turns."""

    def __init__(self, module: dspy.Module, chat: Chat) -> None:
        self._inputs = {one.field.name: one for one in _inputs(module)}
        self._history = chat.history
        self.inputs: Sequence[Field] = [one.field for one in self._inputs.values()]
        written = _outputs(module)
        told = dict.fromkeys([*chat.reasoning, chat.answer])
        called = [name for name, field in written.items() if field.type == "tool_calls" and name not in told]
        self.outputs: Sequence[Field] = [written.get(name, Field(name)) for name in (*told, *called)]

    def values(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the module is called with.

        Raises:
            InputInvalid: a value is none of its input's type.
        """
        values = self._with_tools({name: self._value(name, value) for name, value in inputs.items()})
        if self._history is not None and values.get(self._history) is None:
            values[self._history] = dspy.History(messages=[])
        return values

    def as_json(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """What the module gave, as JSON holds it: a model is an object, the member of an enum its value."""
        return plain_outputs(prediction)

    def _with_tools(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            return given_tools(self.inputs, values)
        except ToolsUnusable as error:
            name = next(field.name for field in self.inputs if field.type in ("tools", "tool"))
            raise InputInvalid(name, f"input {name!r} {error}") from error

    def _value(self, name: str, value: Any) -> Any:
        known = self._inputs.get(name)
        if known is not None and known.field.type in ("tools", "tool"):
            return value
        if known is None or not isinstance(value, _JSON) or (value is None and not known.field.required):
            return value
        if name == self._history or known.field.type == "history":
            return _past(name, value)
        if known.type is None or (known.field.type == "str" and isinstance(value, str)):
            return value
        try:
            # As JSON it is judged strictly: "3" is no number, but a date may be a text.
            return known.type.validate_json(to_json(value), strict=True)
        except ValidationError as error:
            if known.field.type != "json":
                wanted = f"input {name!r} must be {known.field.type}, not {reprlib.repr(value)}"
                raise InputInvalid(name, wanted) from error
            raise InputInvalid(name, f"input {name!r} does not fit its type: {told(error)}") from error


def _inputs(module: dspy.Module) -> list[_Input]:
    """A predictor's input fields, or the parameters of `aforward` or `forward`."""
    signature = getattr(module, "signature", None) or getattr(
        getattr(module, "predict", None), "signature", None
    )
    if signature is not None:
        return [_of_signature(name, info) for name, info in signature.input_fields.items()]
    # Through its class: DSPy warns of who takes a module's forward in hand.
    entry = module.aforward if hasattr(module, "aforward") else type(module).forward.__get__(module)
    parameters = inspect.signature(entry).parameters.values()
    inner = getattr(module, "module", None)
    if any(it.kind is inspect.Parameter.VAR_KEYWORD for it in parameters) and isinstance(inner, dspy.Module):
        return _inputs(inner)  # it hands on whatever it is given, as BestOfN and Refine do
    return [_of_parameter(entry, it) for it in parameters if it.kind in _KINDS]


def _of_signature(name: str, info: FieldInfo) -> _Input:
    # Where there is a default DSPy fills it in.
    return _Input(_field(name, info.annotation, info.is_required()), _type_of(info.annotation))


def _of_parameter(entry: Callable[..., Any], parameter: inspect.Parameter) -> _Input:
    required = parameter.default is inspect.Parameter.empty
    declared = _declared(entry, parameter)
    if declared is inspect.Parameter.empty:
        return _Input(Field(parameter.name, required=required), None)
    return _Input(_field(parameter.name, declared, required), _type_of(declared))


def _declared(entry: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The type of a parameter; none where it is written as a text that means nothing any more."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    holder = type("holder", (), {"__annotations__": {parameter.name: parameter.annotation}})
    try:
        return get_type_hints(holder, getattr(entry, "__globals__", {}))[parameter.name]
    except NameError:
        return inspect.Parameter.empty


def _outputs(module: dspy.Module) -> dict[str, Field]:
    """The outputs of its predictors by name; of one name the last one's, which is likely the module's own."""
    return {
        name: _field(name, info.annotation, required=True, written=True)
        for _, predictor in module.named_predictors()
        for name, info in predictor.signature.output_fields.items()
    }


def _field(name: str, annotation: Any, required: bool, written: bool = False) -> Field:
    try:
        return field_of(name, annotation, required, written=written)
    except LoweringImpossible:
        return Field(name, "json", required=required)


def _past(name: str, turns: Any) -> dspy.History:
    if not fits(Field(name, "history"), turns):
        raise InputInvalid(name, f"input {name!r} must be a list of past turns, not {reprlib.repr(turns)}")
    return dspy.History(messages=to_jsonable_python(list(turns)))


def _type_of(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None
