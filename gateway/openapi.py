"""The description of `POST /v1/chat/completions` for the API page, made from the policy table.

The endpoint reads its bodies without a model class, so the page's generator can't see them by itself.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.policy import FIELDS

_TYPES = {
    "model": "string",
    "messages": "array",
    "stream": "boolean",
    "stream_options": "object",
    "temperature": "number",
    "top_p": "number",
    "min_p": "number",
    "inputs": "object",
    "stop": None,
}
_EXAMPLE = {"model": "arithmetic", "messages": [{"role": "user", "content": "What is six times seven?"}]}


def openapi_with_completions(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own schema with the hot path added; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schema["paths"]["/v1/chat/completions"] = {"post": _completions()}
        app.openapi_schema = schema
    return app.openapi_schema


def _completions() -> dict[str, Any]:
    properties = {name: _property(name) for name, policy in FIELDS.items() if policy.treatment == "apply"}
    body = {"type": "object", "required": ["model"], "properties": properties, "example": _EXAMPLE}
    return {
        "summary": "Run a program on a chat, at once or streamed",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "A chat completion, or its chunks as server-sent events"},
            "4XX": {"description": "The request can't be served; OpenAI's error body"},
            "5XX": {"description": "The engine or the gateway failed; OpenAI's error body"},
        },
    }


def _property(name: str) -> dict[str, Any]:
    kind = _TYPES.get(name, "integer")
    described: dict[str, Any] = {"description": FIELDS[name].note}
    return described if kind is None else {"type": kind, **described}
