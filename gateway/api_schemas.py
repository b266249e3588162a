"""JSON Schemas of the bodies that the gateway takes and gives, for its API page.

They say what every such body holds; an engine's own models and programs may add to it. Nothing is checked by
them: requests are checked by `policy`, and the page is held against the running gateway by a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.policy import MOST_ANSWERS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TOKENS: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_STOP: Schema = {"type": "string", "minLength": 1, "maxLength": 256}
_FORMAT: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}},
}

_PART: Schema = {"type": "object", "required": ["type"], "properties": {"type": _TEXT, "text": _TEXT}}
_SAID: Schema = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART}, {"type": "null"}]},
    },
}

MODEL: Schema = {"type": "string", "minLength": 1}
FIELDS: dict[str, Schema] = {
    "messages": {"type": "array"},
    "stream": {"type": "boolean"},
    "stream_options": {"type": "object"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": _SHARE,
    "min_p": _SHARE,
    "top_k": {"type": "integer", "minimum": -1, "maximum": 2**31 - 1},
    "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "max_tokens": _TOKENS,
    "max_completion_tokens": _TOKENS,
    "max_output_tokens": _TOKENS,
    "n": {"type": "integer", "minimum": 1, "maximum": MOST_ANSWERS},
    "stop": {"anyOf": [_STOP, {"type": "array", "maxItems": 4, "items": _STOP}]},
    "response_format": _FORMAT,
    "inputs": {"type": "object"},
    "tools": {"type": "array", "items": {"type": "object"}},
    "tool_choice": {"anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object"}]},
    "parallel_tool_calls": {},  # where a program declares no tools it is ignored, whatever it is
    "input": {"anyOf": [_TEXT, {"type": "array"}]},
    "instructions": _TEXT,
    "text": {"type": "object"},
    "metadata": {
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 512},
    },
}
"""Fields of a request; each but the model may be null, which is as good as absent."""
A_CHAT_OR_INPUTS: list[Schema] = [
    {
        "title": "a chat",
        "required": ["messages"],
        "properties": {"messages": {"type": "array", "minItems": 1, "items": _SAID}},
    },
    {"title": "inputs by name", "required": ["inputs"], "properties": {"inputs": {"type": "object"}}},
]


FEEDBACK: Schema = {
    "type": "object",
    "required": ["response_id"],
    "additionalProperties": False,
    "properties": {
        "response_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
        "score": _SHARE,
        "label": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
        "correction": {"description": "the right answer, or an object of outputs by name"},
        "comment": {"type": "string", "maxLength": 4000},
    },
    "oneOf": [{"required": [kind]} for kind in ("score", "label", "correction")],
    "example": {"response_id": "chatcmpl-4f1c0e5b9a7d2c3e6f8a0b1c", "correction": "42"},
}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _object(required: Sequence[str] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required) or list(properties), "properties": properties}


def _list(of: Schema) -> Schema:
    return _object(object={"const": "list"}, data={"type": "array", "items": of})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_MESSAGE = _object(
    ("role", "content"),
    role={"const": "assistant"},
    content=or_null(_TEXT),
    refusal=or_null(_TEXT),
    reasoning={**_TEXT, "description": "the program's reasoning fields"},
    tool_calls={"type": "array", "description": "what a program that declares tools wants run"},
    outputs={"type": "object", "description": "every output of the program with its type"},
)
_CHOICE = _object(
    ("index", "message", "finish_reason"),
    index=_COUNT,
    message=_MESSAGE,
    finish_reason={"enum": ["stop", "length", "content_filter", "tool_calls"]},
)

BODIES: Mapping[str, Schema] = {
    "Error": _object(
        error=_object(message=_TEXT, type=_TEXT, param=or_null(_TEXT), code=or_null(_TEXT)),
    ),
    "ChatCompletion": _object(
        ("id", "object", "model", "choices", "usage"),
        id=_TEXT,
        object={"const": "chat.completion"},
        created=_COUNT,
        model={**_TEXT, "description": "the full name of the release that answered"},
        system_fingerprint={**_TEXT, "description": "the release's version"},
        choices={"type": "array", "minItems": 1, "maxItems": MOST_ANSWERS, "items": _CHOICE},
        usage=or_null(_object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)),
    ),
    "Response": _object(
        id=_TEXT,
        object={"const": "response"},
        created_at=_COUNT,
        model=_TEXT,
        status={"enum": ["completed", "incomplete"]},
        output={"type": "array", "items": _object(("id", "type"), id=_TEXT, type=_TEXT)},
        usage=or_null(_object(input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT)),
    ),
    "Completion": _object(object={"const": "text_completion"}, choices={"type": "array"}),
    "Embeddings": _list(_object(embedding={"type": ["array", "string"]}, index=_COUNT)),
    "Model": _object(
        id=_TEXT,
        object={"const": "model"},
        created=_COUNT,
        owned_by=_TEXT,
        smallforge=_object(("available",), available={"type": "boolean"}, reason=or_null(_TEXT)),
    ),
    "ModelList": _list(_ref("Model")),
    "LMStudioModel": _object(
        ("id", "object", "type", "state"),
        id=_TEXT,
        object={"const": "model"},
        type={"const": "llm"},
        state={"enum": ["loaded", "not-loaded"]},
        max_context_length=_COUNT,
    ),
    "LMStudioModelList": _list(_ref("LMStudioModel")),
    "Feedback": _object(
        object={"const": "feedback"},
        response_id=_TEXT,
        kind={"enum": ["score", "label", "correction"]},
        replaced={"type": "boolean", "description": "whether it took the place of what was said before"},
    ),
    "Health": _object(status={"const": "ok"}),
    "Readiness": _object(status=_TEXT, students={"type": "object", "additionalProperties": _TEXT}),
}
