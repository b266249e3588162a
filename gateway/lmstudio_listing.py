"""The model list in the words of LM Studio's own REST API, for clients that look there before they ask."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gateway.access.admission import Admitted
from gateway.access.caller import may_ask
from gateway.catalog import Catalog, Served
from gateway.exposed import ExposedModels
from gateway.listing import as_json, find_listed, listed, listed_names
from gateway.place import ServedStudent

Entry = dict[str, Any]


def lmstudio_router(catalog: Catalog, exposed: ExposedModels) -> APIRouter:
    router = APIRouter()

    @router.get("/api/v0/models", summary="Every model as LM Studio lists its own")
    async def list_models(caller: Admitted) -> Response:
        entries = [_release_entry(served) for served in listed(catalog, caller)]
        entries += [_exposed_entry(exposed, name) for name in listed_names(exposed, caller)]
        return as_json({"object": "list", "data": entries})

    @router.get("/api/v0/models/{model:path}", summary="One model as LM Studio shows its own")
    async def show_model(model: str, caller: Admitted) -> Response:
        if model in exposed.names and may_ask(caller, model):
            return as_json(_exposed_entry(exposed, model))
        return as_json(_release_entry(find_listed(catalog, model, caller)))

    return router


def _release_entry(served: Served) -> Entry:
    runnable = served.loaded.runnable
    arch = runnable.identity.kind if runnable is not None else None
    entry = _entry(served.model, "smallforge", arch, served.student)
    calls = runnable is not None and runnable.tools is not None
    return {**entry, "capabilities": ["tool_use"]} if calls else entry


def _exposed_entry(exposed: ExposedModels, name: str) -> Entry:
    found = exposed.get(name)
    return _entry(name, "engine", None, found.served if found is not None else None)


def _entry(model: str, publisher: str, arch: str | None, student: ServedStudent | None) -> Entry:
    """Without a student it can't be asked now; what is not known is not there."""
    context = student.student.context_tokens if student is not None else None
    entry: Entry = {
        "id": model,
        "object": "model",
        "type": "llm",
        "publisher": publisher,
        "arch": arch,
        # One of LM Studio's two words has to stand here: Zed refuses a list without it.
        "compatibility_type": "gguf",
        "state": "not-loaded" if student is None else "loaded",
        "max_context_length": context,
        "loaded_context_length": context,
    }
    return {name: value for name, value in entry.items() if value is not None}
