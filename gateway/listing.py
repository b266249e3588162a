"""What `/v1/models` says of each model name: its release, what it takes and gives, how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Response

from gateway.accounting.evidence import Measured
from gateway.catalog import Catalog, Runnable, Served
from gateway.errors import ModelUnknown
from gateway.policy import FIELDS

Card = dict[str, Any]


def listing_router(catalog: Catalog) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models", summary="Every model name served now, and those that can't be")
    async def list_models() -> Response:
        return as_json({"object": "list", "data": [model_card(served) for served in listed(catalog)]})

    @router.get(
        "/v1/models/{model:path}", summary="One model: its release, inputs, outputs and request fields"
    )
    async def show_model(model: str) -> Response:
        card = model_card(find_listed(catalog, model))
        card["smallforge"]["parameters"] = {name: policy.treatment for name, policy in FIELDS.items()}
        return as_json(card)

    return router


def listed(catalog: Catalog) -> list[Served]:
    """All names by their order; what is broken is no release that could be served anywhere."""
    return [served for _, served in sorted(catalog.models.items()) if not served.loaded.broken]


def find_listed(catalog: Catalog, model: str) -> Served:
    """One name, whether it can be served now or not. Raises ModelUnknown."""
    served = catalog.models.get(model)
    if served is None:
        raise ModelUnknown(f"No model {model[:80]!r}; /v1/models lists them.", param="model")
    return served


def model_card(served: Served) -> Card:
    runnable = served.loaded.runnable
    about: Card = {
        "release": f"{served.loaded.program}@{served.loaded.version}",
        "version": served.loaded.version,
        "available": served.unavailable is None,
        "reason": served.unavailable.message if served.unavailable is not None else None,
    }
    if runnable is not None:
        about |= _form(runnable) | _measured(runnable.measured)
    return {
        "id": served.model,
        "object": "model",
        "created": runnable.created if runnable is not None else 0,
        "owned_by": "smallforge",
        "smallforge": about,
    }


def as_json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _form(runnable: Runnable) -> Card:
    executor = runnable.executor
    chat = executor.chat
    return {
        "kind": runnable.identity.kind,
        "student": runnable.identity.student,
        "inputs": [{"name": f.name, "type": f.type, "required": f.required} for f in executor.inputs],
        "outputs": [{"name": f.name, "type": f.type} for f in executor.outputs],
        "answer": chat.answer,
        "reasoning": list(chat.reasoning),
        "capabilities": {
            "history": chat.history is not None,
            "system": chat.system is not None,
            "streaming": runnable.streams,
        },
    }


def _measured(measured: Measured) -> Card:
    """Scores and prices of the release's evidence; what is not known is not there."""
    known = {
        "score": measured.score and asdict(measured.score),
        "unoptimised": measured.unoptimised and asdict(measured.unoptimised),
        "usd_per_1000": _per_1000(measured.usd_per_answer),
        "teacher_usd_per_1000": _per_1000(measured.teacher_usd_per_answer),
    }
    return {name: value for name, value in known.items() if value is not None}


def _per_1000(usd: float | None) -> float | None:
    return None if usd is None else usd * 1000
