"""Releases as versions of a registered model, under the program's name and with the same aliases.

A version points at the release among the artefacts of its run. Nothing of it can be loaded as a model of
MLflow's own: a release is data, and MLflow never gets an object to serialise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.tracking.mlflow_store import OFF, Address, Store, TrackingUnavailable, address_of, open_store
from programs.aliases import Aliases, read_aliases

RELEASE_FOLDER = "release"
"""Where a run keeps the release among its artefacts."""
_ALIASES = ("champion", "candidate")


def register(store: Store, run: Any, program: str, version: str) -> str:
    """The number of the model's version that is this release; one release is registered once."""
    known = registered(store, program, version)
    if known is not None:
        return known
    client = store.client
    if not client.search_registered_models(f"name = '{program}'", max_results=1):
        client.create_registered_model(program, tags={"kind": "smallforge program"})
    made = client.create_model_version(
        program,
        f"{run.info.artifact_uri}/{RELEASE_FOLDER}",
        run.info.run_id,
        tags={"release": version, "build_id": run.data.tags.get("build_id", "")},
        description=f"Release {program}@{version}. `compiler pull models:/{program}/...` fetches it.",
    )
    return str(made.version)


def registered(store: Store, program: str, version: str) -> str | None:
    """The number of the model's version that is this release, None where it is not registered."""
    found = store.client.search_model_versions(f"name = '{program}' and tags.release = '{version}'")
    return str(found[0].version) if found else None


def move_aliases(store: Store, program: str, aliases: Aliases) -> list[str]:
    """Gives the registered model these aliases; returns releases that have one and are not registered."""
    absent = []
    models = store.client.search_registered_models(f"name = '{program}'", max_results=1)
    present = dict(models[0].aliases) if models else {}
    for alias in _ALIASES:
        version = getattr(aliases, alias)
        number = version and registered(store, program, version)
        if number is not None and str(present.get(alias)) != number:
            store.client.set_registered_model_alias(program, alias, number)
        if number is None and alias in present:
            # Better no champion than one that is not the champion any more.
            store.client.delete_registered_model_alias(program, alias)
        if number is None and version is not None:
            absent.append(f"{program}@{version}")
    return list(dict.fromkeys(absent))


def mirror_aliases(uri: str | None, state: Path, folder: Path, warn: Callable[[str], None]) -> None:
    """Gives the registered model the aliases of a program's folder, where its builds are tracked.

    Never raises for MLflow: that it failed is one warning, and the move on disk stands.
    """
    if uri == OFF:
        return
    try:
        address = address_of(uri, state)
        if is_tracked(address):
            store = open_store(address)
            with store.waited_for():
                absent = move_aliases(store, folder.name, read_aliases(folder))
            for name in absent:
                warn(f"MLflow does not know {name} and so can't give it an alias: compiler log {name}")
    except TrackingUnavailable as error:
        warn(f"The alias was moved here but not in MLflow: {error}")


def is_tracked(address: Address) -> bool:
    """Whether there is a store: the state folder has none until a build is tracked there."""
    return address.own is None or (address.own / "mlflow.db").is_file()
