from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from compiler.command import main
from compiler.events import Event, Finished
from compiler.releases import promote
from compiler.tracking.mlflow_store import Store
from compiler.tracking.registry import mirror_aliases, registered
from tests.compiler.conftest import Builds
from tests.compiler.tracking.test_recording import record


def version(events: list[Event]) -> str:
    assert isinstance(events[-1], Finished)
    return events[-1].result.version


def aliases(store: Store) -> dict[str, str]:
    """Alias -> the release that has it in MLflow."""
    client = store.client
    (model,) = client.search_registered_models("name = 'sums'")
    return {
        alias: client.get_model_version("sums", number).tags["release"]
        for alias, number in model.aliases.items()
    }


def mirrored(store: Store, builds: Builds, uri: str | None = None) -> list[str]:
    warnings: list[str] = []
    assert store.address.own is not None
    mirror_aliases(uri, store.address.own, builds.releases / "sums", warnings.append)
    return warnings


def test_a_release_is_registered_once_with_the_aliases_it_has_on_disk(store: Store, builds: Builds) -> None:
    run = record(store, *builds.plain)
    record(store, *builds.worked)
    assert aliases(store) == {"champion": version(builds.plain), "candidate": version(builds.worked)}
    number = registered(store, "sums", version(builds.plain))
    model = store.client.get_model_version("sums", number)
    assert model.run_id == run.info.run_id and model.source == f"{run.info.artifact_uri}/release"
    record(store, *builds.plain)
    assert len(store.client.search_model_versions("name = 'sums'")) == 2


def test_a_promotion_moves_the_alias_in_mlflow_too(store: Store, builds: Builds) -> None:
    record(store, *builds.plain)
    record(store, *builds.worked)
    promote(builds.releases, f"sums@{version(builds.worked)}", "better")
    assert mirrored(store, builds) == []
    assert aliases(store)["champion"] == version(builds.worked)


def test_the_commands_move_it_there_and_back(store: Store, builds: Builds) -> None:
    record(store, *builds.plain)
    record(store, *builds.worked)
    there = ["--mlflow-uri", store.address.uri, "--releases", str(builds.releases)]
    assert CliRunner().invoke(main, ["promote", "sums@candidate", *there]).exit_code == 0
    assert aliases(store)["champion"] == version(builds.worked)
    assert CliRunner().invoke(main, ["rollback", "sums", *there]).exit_code == 0
    assert aliases(store)["champion"] == version(builds.plain)


def test_a_champion_that_mlflow_does_not_know_is_told_and_the_old_one_is_not_left(
    store: Store, builds: Builds
) -> None:
    record(store, *builds.plain)
    promote(builds.releases, f"sums@{version(builds.worked)}", "better")
    (told,) = mirrored(store, builds)
    assert told.endswith(f"compiler log sums@{version(builds.worked)}") and aliases(store) == {}


def test_a_store_that_is_down_is_one_warning(store: Store, builds: Builds) -> None:
    (told,) = mirrored(store, builds, "http://127.0.0.1:9")
    assert told.startswith("The alias was moved here but not in MLflow: MLflow at 'http://127.0.0.1:9'")
    assert "connection refused" in told


def test_nothing_is_said_or_made_where_nothing_is_tracked(tmp_path: Path, builds: Builds) -> None:
    warnings: list[str] = []
    mirror_aliases(None, tmp_path / "state", builds.releases / "sums", warnings.append)
    mirror_aliases("off", tmp_path / "state", builds.releases / "sums", warnings.append)
    assert warnings == [] and not (tmp_path / "state").exists()
