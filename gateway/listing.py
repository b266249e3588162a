"""What `/v1/models` says of each model name: its release, what it takes and gives, how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Response

from gateway.access.admission import Admitted
from gateway.access.caller import Caller, may_ask
from gateway.accounting.evidence import Measured
from gateway.catalog import Catalog, Runnable, Served
from gateway.errors import ModelUnknown
from gateway.exposed import ExposedModel, ExposedModels
from gateway.policy import FIELDS, FIELDS_WITH_TOOLS
from programs.plan import Field

Card = dict[str, Any]
_PER_TOKEN = ("usd_per_million_input", "usd_per_million_output", "usd_per_million_cached")


def listing_router(catalog: Catalog, exposed: ExposedModels) -> APIRouter:
    """Lists to each caller what its key may ask."""
    router = APIRouter()

    @router.get("/v1/models", summary="Every model name served now, and those that can't be")
    async def list_models(caller: Admitted) -> Response:
        cards = [model_card(served) for served in listed(catalog, caller)]
        cards += [exposed_card(name, exposed.get(name)) for name in listed_names(exposed, caller)]
        return as_json({"object": "list", "data": cards})

    @router.get(
        "/v1/models/{model:path}", summary="One model: its release, inputs, outputs and request fields"
    )
    async def show_model(model: str, caller: Admitted) -> Response:
        if model in exposed.names and may_ask(caller, model):
            return as_json(exposed_card(model, exposed.get(model)))
        card = model_card(find_listed(catalog, model, caller))
        runnable = find_listed(catalog, model, caller).loaded.runnable
        fields = FIELDS_WITH_TOOLS if runnable is not None and runnable.tools is not None else FIELDS
        card["smallforge"]["parameters"] = {name: policy.treatment for name, policy in fields.items()}
        return as_json(card)

    return router


def listed(catalog: Catalog, caller: Caller | None) -> list[Served]:
    """The caller's names by their order; what is broken is no release that could be served anywhere."""
    models = sorted(catalog.models.items())
    return [served for name, served in models if may_ask(caller, name) and not served.loaded.broken]


def listed_names(exposed: ExposedModels, caller: Caller | None) -> list[str]:
    return sorted(name for name in exposed.names if may_ask(caller, name))


def find_listed(catalog: Catalog, model: str, caller: Caller | None) -> Served:
    """One of the caller's names, whether it can be served now or not. Raises ModelUnknown."""
    served = catalog.models.get(model) if may_ask(caller, model) else None
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
    if served.split is not None:
        canary = served.split.canary
        about["canary"] = {"release": f"{served.loaded.program}@{canary.version}", "weight": canary.weight}
    if runnable is not None:
        about |= _form(runnable) | _measured(runnable.measured)
    return {
        "id": served.model,
        "object": "model",
        "created": runnable.created if runnable is not None else 0,
        "owned_by": "smallforge",
        "smallforge": about,
    }


def exposed_card(name: str, found: ExposedModel | None) -> Card:
    """An engine's own model; what is not known of it is not there."""
    about: Card = {
        "kind": "exposed",
        "available": found is not None,
        "reason": None if found is not None else "Its engine can't be reached; the gateway's log says why.",
    }
    if found is not None:
        price = found.served.price
        per_token = {} if price is None else asdict(price)
        about |= {"context_tokens": found.served.student.context_tokens}
        about |= {key: per_token.get(key) for key in _PER_TOKEN}
    known = {key: value for key, value in about.items() if value is not None or key == "reason"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "engine", "smallforge": known}


def as_json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _form(runnable: Runnable) -> Card:
    executor = runnable.executor
    chat = executor.chat
    return {
        "kind": runnable.identity.kind,
        "student": runnable.identity.student,
        "inputs": [{**_typed(f), "required": f.required} for f in executor.inputs],
        "outputs": [_typed(f) for f in executor.outputs],
        "answer": chat.answer,
        "reasoning": list(chat.reasoning),
        "capabilities": {
            "history": chat.history is not None,
            "system": chat.system is not None,
            "streaming": runnable.streams,
            "tools": runnable.tools is not None,
        },
    }


def _typed(field: Field) -> Card:
    """A field with what its values are, as far as its type does not say that."""
    told: Card = {"name": field.name, "type": field.type}
    if field.choices:
        told["choices"] = list(field.choices)
    return told if field.schema is None else {**told, "schema": field.schema}


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
