"""A lowered program: a constant list of messages with holes.

`render` fills the holes; `programs.reader` reads the reply. Both give byte for byte what
`programs.adapter.ProgramAdapter` gives. Knows nothing of DSPy, models or HTTP.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Le
from pydantic import ConfigDict, TypeAdapter, ValidationError

from programs.checks import MOST_CHECK_RETRIES, DeclaredCheck, refuse_unknown_fields
from programs.errors import InputInvalid, ProgramInvalid, ReleaseInvalid
from programs.json_types import JsonType, TypeUnusable, Unfit
from programs.program import Chat, Sampling
from programs.tools import Offer, ToolsUnusable, plain_calls, read_offer, without_results

FieldType = Literal[
    "str", "int", "float", "bool", "list[str]", "list[int]", "list[float]", "literal", "history",
    "tools", "tool", "tool_calls", "enum", "json",
]  # fmt: skip

_ROLES = frozenset({"system", "user", "assistant"})
_NAME = re.compile(r"\w{1,200}")
_MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]")
# What DSPy's adapters expand into message parts, wherever it stands.
_PART = re.compile(r"<<(CUSTOM-TYPE-(?:START|END)-IDENTIFIER)>>")
_STRICT = ConfigDict(extra="forbid", strict=False)


INPUTS_ONLY = frozenset({"history", "tools", "tool"})
"""Types that no text of a user or a model can be of."""


class Message(NamedTuple):
    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Field:
    """One input or output. `choices` with types `literal` and `enum`; `default` only where not `required`."""

    __pydantic_config__ = _STRICT

    name: str
    type: FieldType = "str"
    choices: tuple[str, ...] = ()
    required: bool = True
    default: str | int | float | bool | None = None
    names: tuple[str, ...] = ()
    """Of an `enum`: a reply's other words for its choices, in their order."""
    schema: Mapping[str, Any] | None = None
    """Of a `json`: what its values are; anything where it is not known."""

    @cached_property
    def json(self) -> JsonType:
        return JsonType(self.schema or {})


@dataclass(frozen=True)
class Plan:
    """Enough to serve a program: what is constant, what is filled in, what is read back."""

    __pydantic_config__ = _STRICT

    program: str
    prefix: tuple[Message, ...]
    """System message and demonstrations: the same bytes in every request, so a prefix cache holds them."""
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    reminder: str
    """Text after the inputs of a request that names the outputs to write."""
    chat: Chat
    sampling: Sampling
    context_tokens: Annotated[int, Ge(1), Le(2**31 - 1)] | None = None
    """The student's window in tokens, where it was known at the build."""
    checks: tuple[DeclaredCheck, ...] = ()
    check_retries: int = 1
    """How often the model is asked again after an answer that breaks a check."""
    format: Literal[1] = 1

    @property
    def history(self) -> str | None:
        """Name of the input that takes earlier turns, if there is one."""
        return next((field.name for field in self.inputs if field.type == "history"), None)


_PLAN = TypeAdapter(Plan)


def plan_as_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON. One without checks or verses doesn't name them, so its release keeps its version."""
    data = asdict(plan)
    for field in (*data["inputs"], *data["outputs"]):
        for key in ("names", "schema"):
            if not field[key]:
                del field[key]
    data["prefix"] = [message.as_dict() for message in plan.prefix]
    if not plan.checks:
        del data["checks"]
    if not plan.checks and not any(field.type == "tool_calls" for field in plan.outputs):
        del data["check_retries"]
    if plan.chat.verses is None:
        del data["chat"]["verses"]
    return data


def read_plan(data: Mapping[str, Any]) -> Plan:
    """Builds a plan from parsed JSON.

    Raises:
        ReleaseInvalid: a key is unknown, a type is wrong, or a check can't be applied to the plan's fields.
    """
    prefix = data.get("prefix")
    if not isinstance(prefix, list) or not all(
        isinstance(m, dict) and m.keys() == {"role", "content"} for m in prefix
    ):
        raise ReleaseInvalid("plan.json: 'prefix' must be a list of messages with a role and a content")
    try:
        plan = _PLAN.validate_python(dict(data) | {"prefix": [(m["role"], m["content"]) for m in prefix]})
        refuse_unknown_fields(plan.checks, [f.name for f in plan.inputs], [f.name for f in plan.outputs])
    except ProgramInvalid as error:
        raise ReleaseInvalid(f"plan.json: {error}") from error
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ReleaseInvalid(f"plan.json: {where}: {found['msg']}") from error
    _refuse_unusable_fields((*plan.inputs, *plan.outputs))
    for output in plan.outputs:
        if output.type in INPUTS_ONLY:
            raise ReleaseInvalid(
                f"plan.json: {output.name!r} is of type {output.type}, which no output can be"
            )
    if not {message.role for message in plan.prefix} <= _ROLES:
        raise ReleaseInvalid(f"plan.json: 'prefix' may hold messages of {', '.join(sorted(_ROLES))} only")
    if not 0 <= plan.check_retries <= MOST_CHECK_RETRIES:
        raise ReleaseInvalid(
            f"plan.json: check_retries: {plan.check_retries} is not from 0 to {MOST_CHECK_RETRIES}"
        )
    return plan


def _refuse_unusable_fields(fields: Sequence[Field]) -> None:
    names: set[str] = set()
    for field in fields:
        # A name stands in a marker, which must not be able to end early.
        if not _NAME.fullmatch(field.name) or field.name in names:
            raise ReleaseInvalid(f"plan.json: {field.name!r:.80} can't name a field, or names two")
        names.add(field.name)
        chosen = field.type in ("literal", "enum")
        if (chosen and not field.choices) or len(field.names) not in (0, len(field.choices)):
            raise ReleaseInvalid(f"plan.json: {field.name!r} needs choices, and a name for each or for none")
        if field.type == "json":
            try:
                field.json  # noqa: B018 - made now and kept
            except TypeUnusable as error:
                raise ReleaseInvalid(f"plan.json: the type of {field.name!r}: {error}") from error


def render(plan: Plan, inputs: Mapping[str, Any]) -> list[Message]:
    """The messages of one request.

    Raises:
        InputInvalid: an input is unknown, missing, or not of its declared type.
    """
    return [*plan.prefix, *render_request(plan, inputs)]


def render_request(plan: Plan, inputs: Mapping[str, Any]) -> list[Message]:
    """What follows the constant prefix: past turns, then the request itself."""
    values = complete_inputs(plan, inputs)
    turns: Sequence[Mapping[str, Any]] = values.pop(plan.history, None) or () if plan.history else ()
    messages: list[Message] = []
    for turn in turns:
        messages += _render_turn(plan, turn)
    return [*messages, Message("user", _user_content(plan, values))]


def complete_inputs(plan: Plan, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Checked inputs with defaults filled in, in the order of the signature."""
    known = [field.name for field in plan.inputs]
    for name in inputs:
        if name not in known:
            raise InputInvalid(name, f"unknown input {name!r}: {plan.program!r} takes {', '.join(known)}")
    values = {}
    for field in plan.inputs:
        value = inputs.get(field.name, field.default)
        if field.type in ("tools", "tool"):
            values[field.name] = _offer(plan, field, value)
            continue
        if value is None:
            if field.required and field.type != "history":
                raise InputInvalid(field.name, f"input {field.name!r} is missing: {plan.program!r} needs it")
            continue
        values[field.name] = _fitting(field, value)
    return values


def _fitting(field: Field, value: Any) -> Any:
    if field.type == "json":
        try:
            return field.json.complete(value)
        except Unfit as error:
            told = f"input {field.name!r} does not fit its type: {error}"
            raise InputInvalid(field.name, told) from error
    if not fits(field, value):
        shown = reprlib.repr(value)
        raise InputInvalid(field.name, f"input {field.name!r} must be {field.type}, not {shown}")
    return value


def _offer(plan: Plan, field: Field, value: Any) -> Offer:
    """The tools of a request; none where it names none and the program can do without."""
    try:
        offer = read_offer([] if value is None else value)
    except ToolsUnusable as error:
        raise InputInvalid(field.name, f"input {field.name!r} {error}") from error
    if field.type == "tool" and len(offer.tools) != 1:
        told = f"input {field.name!r} takes one tool, not {len(offer.tools)}"
        raise InputInvalid(field.name, f"{told}: {plan.program!r} needs it")
    return offer


def neutralise(value: Any) -> Any:
    """The value with every marker in its texts made harmless: text cannot forge a field, nor an image."""
    if isinstance(value, str):
        return _PART.sub(r"< <\1> >", _MARKER.sub(r"[ # \1 # ]", value))
    if isinstance(value, list):
        return [neutralise(item) for item in value]
    if isinstance(value, dict):
        return {neutralise(key): neutralise(item) for key, item in value.items()}
    return value


_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,), "literal": (str,), "enum": (str,), "int": (int,), "float": (int, float), "bool": (bool,),
}  # fmt: skip


def fits(field: Field, value: Any) -> bool:
    """Whether a value from JSON is of the field's declared type."""
    if field.type == "history":
        return isinstance(value, list | tuple) and all(isinstance(turn, Mapping) for turn in value)
    if field.type in ("tools", "tool", "tool_calls"):
        return _is_readable(plain_calls if field.type == "tool_calls" else read_offer, value)
    if field.type == "json":
        return _is_readable(field.json.complete, value)
    if field.type.startswith("list["):
        kinds = _SCALARS[field.type[5:-1]]
        return isinstance(value, list) and all(_is_a(kinds, item) for item in value)
    if field.choices and value not in field.choices:
        return False
    return _is_a(_SCALARS[field.type], value)


def _is_readable(read: Callable[[object], object], value: Any) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _is_a(kinds: tuple[type, ...], value: Any) -> bool:
    # Python's True is an int, JSON's is not.
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _render_turn(plan: Plan, turn: Mapping[str, Any]) -> list[Message]:
    """One past exchange, without its tools; outputs that the turn does not have are left out."""
    messages = []
    kept = (f for f in plan.inputs if f.type not in ("history", "tools", "tool"))
    asked = {f.name: turn[f.name] for f in kept if f.name in turn}
    if asked:
        messages.append(Message("user", _user_content(plan, asked)))
    told = {f.name: without_results(turn[f.name]) for f in plan.outputs if turn.get(f.name) is not None}
    said = [_section(name, value) for name, (value, _) in told.items()]
    if said:
        messages.append(Message("assistant", "\n\n".join(said).strip() + "\n\n[[ ## completed ## ]]\n"))
    messages += [Message("user", results_content(given)) for _, given in told.values() if given is not None]
    return messages


def results_content(given: Any) -> str:
    """What a model is told that the tools gave which it called."""
    return _section("tool_call_results", given)


def _user_content(plan: Plan, values: Mapping[str, Any]) -> str:
    sections = [_section(f.name, _shown(f, values[f.name])) for f in plan.inputs if f.name in values]
    return "\n\n".join([*sections, plan.reminder]).strip()


def _shown(field: Field, value: Any) -> Any:
    return shown_tools(field.type, value) if isinstance(value, Offer) else value


def _section(name: str, value: Any) -> str:
    return f"[[ ## {name} ## ]]\n{_format_value(neutralise(value))}"


def shown_tools(field_type: str, offer: Offer) -> Any:
    """A request's tools as a prompt has them; their texts are a stranger's."""
    texts = neutralise(offer.texts)
    return texts[0] if field_type == "tool" else texts


def _format_value(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
