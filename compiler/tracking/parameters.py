"""Everything that could change what a build comes to, as flat names and values for a table of runs.

Reads a `build.json`, or as much of one as is known before anything is asked, so a build that runs and one
that is over are told alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compiler.request import BuildRequest
from programs.release import canonical_json, digest

_ROLES = ("student", "teacher", "proposer")


def settings_of(request: BuildRequest) -> dict[str, Any]:
    """What was chosen beside what makes two builds the same: files, limits."""
    paths = {name: path and str(path) for name, path in asdict(request.data).items()}
    return {
        "concurrency": request.concurrency,
        "ceiling": request.ceiling._asdict(),
        "target": request.target,
        "required_gain": request.required_gain,
        "files": paths,
    }


def parameters_of(build: Mapping[str, Any]) -> dict[str, str]:
    """Flat parameters of a `build.json`, or of its part that is known before anything is asked.

    A value that is not set is left out, a model's identity becomes its name, model and a short digest.
    """
    asked, split = build.get("asked", {}), build.get("split", {})
    settings, optimizer = build.get("settings", {}), build.get("optimizer", {})
    found: dict[str, Any] = {
        "optimizer": optimizer.get("name", asked.get("optimizer")),
        "optimizer_asked": asked.get("optimizer"),
        **_under("optimizer", optimizer.get("arguments", asked.get("arguments"))),
        "seed": asked.get("seed"),
        "token_price_weight": asked.get("token_price_weight"),
        **_under("sampling", asked.get("sampling")),
        **_under("fingerprint", asked.get("data")),
        **_under("examples", split.get("sizes")),
        "concurrency": settings.get("concurrency"),
        **_under("ceiling", settings.get("ceiling")),
        "target": settings.get("target"),
        "required_gain": settings.get("required_gain"),
        **_under("file", settings.get("files")),
        **_under("library", build.get("libraries")),
    }
    for role in _ROLES:
        found |= _model(role, asked.get(role))
    return as_texts(found)


def as_texts(parameters: Mapping[str, object]) -> dict[str, str]:
    """Values as a table of runs keeps them; those that are not set are left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in parameters.items()
        if value is not None
    }


def _under(name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in (values or {}).items()}


def _model(role: str, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    if not identity:
        return {}
    told = {"name": identity.get("name"), "model": identity.get("model")}
    who = {key: value for key, value in identity.items() if key not in told}
    return _under(role, {**told, "fingerprint": digest(canonical_json(who))[:12]})
