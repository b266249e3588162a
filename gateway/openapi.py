"""The API page's description of the paths that ask a model, made from the policy table.

Their endpoints read bodies without a model class, so the page's generator can't see them by itself.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.policy import FIELDS
from gateway.responses_policy import RESPONSES

_TYPES = {
    "model": "string",
    "messages": "array",
    "stream": "boolean",
    "stream_options": "object",
    "temperature": "number",
    "top_p": "number",
    "min_p": "number",
    "inputs": "object",
    "response_format": "object",
    "stop": None,
}
_EXAMPLE = {"model": "arithmetic", "messages": [{"role": "user", "content": "What is six times seven?"}]}


def openapi_with_models(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own schema with the hot paths added; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schema["paths"] |= {path: {"post": operation} for path, operation in _asking().items()}
        app.openapi_schema = schema
    return app.openapi_schema


def _asking() -> dict[str, dict[str, Any]]:
    applied = {name: _property(name) for name, policy in FIELDS.items() if policy.treatment == "apply"}
    model = {"model": {"type": "string", "description": "an exposed model's name"}}
    return {
        "/v1/chat/completions": _operation(
            "Ask a program, or an exposed model, in a chat; at once or streamed", applied, _EXAMPLE
        ),
        "/v1/responses": _operation(
            "Ask a program by OpenAI's Responses; at once or in typed events, nothing is stored",
            {name: {"description": it.note} for name, it in RESPONSES.items() if it.treatment == "apply"},
            {"model": "arithmetic", "input": "What is six times seven?"},
        ),
        "/v1/completions": _operation(
            "Let an exposed model go on with a text; the body is the engine's",
            {**model, "prompt": {"type": "string"}},
            {"model": "qwen3-0.6b", "prompt": "Six times seven is"},
        ),
        "/v1/embeddings": _operation(
            "Vectors of texts from an exposed model; the body is the engine's",
            {**model, "input": {"description": "a text or several"}},
            {"model": "bge-small", "input": "six times seven"},
        ),
    }


def _operation(summary: str, properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    body = {"type": "object", "required": ["model"], "properties": properties, "example": example}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "OpenAI's body, or its events where a stream was asked for"},
            "4XX": {"description": "The request can't be served; OpenAI's error body"},
            "5XX": {"description": "The engine or the gateway failed; OpenAI's error body"},
        },
    }


def _property(name: str) -> dict[str, Any]:
    kind = _TYPES.get(name, "integer")
    described: dict[str, Any] = {"description": FIELDS[name].note}
    return described if kind is None else {"type": kind, **described}
