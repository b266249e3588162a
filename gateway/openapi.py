"""The API page: what FastAPI knows of the paths, with the bodies that each takes and gives.

The endpoints that ask a model read bodies without a model class, and the others write them without one, so
the page's generator can't see them by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.api_schemas import A_CHAT_OR_INPUTS, BODIES, FEEDBACK, FIELDS, MODEL, Schema, or_null
from gateway.policy import FIELDS_WITH_TOOLS, FieldPolicy
from gateway.responses_policy import RESPONSES_WITH_TOOLS


class Told(NamedTuple):
    """The body of a path's 200, and by status what else it may answer with, `Error` unless said otherwise."""

    body: str
    others: tuple[int, ...] = ()
    other_body: str = "Error"


_TOLD = {
    "/v1/models": Told("ModelList", (401, 503)),
    "/v1/models/{model}": Told("Model", (401, 404, 503)),
    "/api/v0/models": Told("LMStudioModelList", (401, 503)),
    "/api/v0/models/{model}": Told("LMStudioModel", (401, 404, 503)),
    "/healthz": Told("Health"),
    "/readyz": Told("Readiness", (503,), "Readiness"),
}
_FAILURES = {
    400: "The request can't be served as it is",
    401: "No API key, or one that does not hold",
    402: "Another step would go past the request's own ceiling",
    404: "No such model, or no such response of this client's",
    413: "The body is too large",
    429: "A limit of the key, the model or the engine is reached; `retry-after` says for how long",
    500: "The gateway failed",
    502: "The engine failed, or its reply is not what the program gives",
    503: "Not ready, or the model can't be served now",
    504: "The engine took too long, or the request's own deadline passed",
}
_CHAT = {"model": "arithmetic", "messages": [{"role": "user", "content": "What is six times seven?"}]}


def openapi_with_models(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own schema with all bodies in it; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path, told in _TOLD.items():
            schema["paths"][path]["get"]["responses"] = _responses(told)
        asking = _asking()
        for path in ("chat/completions", "completions", "embeddings"):
            asking[f"/api/v0/{path}"] = asking[f"/v1/{path}"]
        schema["paths"] |= {path: {"post": operation} for path, operation in asking.items()}
        if (feedback := schema["paths"].get("/v1/feedback")) is not None:
            feedback["post"] |= {
                "requestBody": _json_body(FEEDBACK),
                "responses": _responses(Told("Feedback", (400, 404, 413, 500, 503))),
            }
        schema["components"] = {"schemas": BODIES}
        app.openapi_schema = schema
    return app.openapi_schema


def _asking() -> dict[str, dict[str, Any]]:
    chat = {"properties": _applied(FIELDS_WITH_TOOLS), "anyOf": A_CHAT_OR_INPUTS}
    return {
        "/v1/chat/completions": _operation(
            "Ask a program, or an exposed model, in a chat; at once or streamed",
            "ChatCompletion",
            chat,
            _CHAT,
        ),
        "/v1/responses": _operation(
            "Ask a program by OpenAI's Responses; at once or in typed events, nothing is stored",
            "Response",
            {"properties": _applied(RESPONSES_WITH_TOOLS)},
            {"model": "arithmetic", "input": "What is six times seven?"},
        ),
        "/v1/completions": _operation(
            "Let an exposed model go on with a text; the body is the engine's",
            "Completion",
            {"properties": {"prompt": {"description": "a text or several"}}},
            {"model": "qwen3-0.6b", "prompt": "Six times seven is"},
        ),
        "/v1/embeddings": _operation(
            "Vectors of texts from an exposed model; the body is the engine's",
            "Embeddings",
            {"properties": {"input": {"description": "a text or several"}}},
            {"model": "bge-small", "input": "six times seven"},
        ),
    }


def _applied(policies: dict[str, FieldPolicy]) -> dict[str, Schema]:
    return {
        name: {**or_null(FIELDS.get(name, {})), "description": policy.note}
        for name, policy in policies.items()
        if policy.treatment == "apply" and name != "model"
    }


def _operation(summary: str, told: str, asked: Schema, example: dict[str, Any]) -> dict[str, Any]:
    fields = {"model": MODEL, **asked["properties"]}
    body = {"type": "object", "required": ["model"], **asked, "properties": fields, "example": example}
    responses = _responses(Told(told, tuple(_FAILURES)))
    if told != "Embeddings":
        # A stream's events, for which OpenAPI 3.1 has no schema.
        responses["200"]["content"]["text/event-stream"] = {}
    return {
        "summary": summary,
        "requestBody": _json_body(body),
        "responses": responses,
    }


def _json_body(schema: Schema) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _responses(told: Told) -> dict[str, Any]:
    failures = {str(status): _response(_FAILURES[status], told.other_body) for status in told.others}
    return {"200": _response("What was asked for", told.body), **failures}


def _response(description: str, body: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{body}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
