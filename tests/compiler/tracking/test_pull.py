from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from compiler.command import main
from compiler.errors import UserMistake
from compiler.events import Finished
from compiler.tracking.mlflow_store import Address, Store, TrackingUnavailable, open_store
from compiler.tracking.pull import parse_address, pull_release
from programs.aliases import read_aliases
from programs.errors import ReleaseInvalid, ReleaseNotFound
from programs.release import read_release, verify_evidence
from tests.compiler.conftest import Builds
from tests.compiler.tracking.test_recording import record, runs

CANDIDATE = "models:/sums@candidate"


@pytest.fixture
def result(store: Store, builds: Builds) -> Any:
    """The registered candidate."""
    record(store, *builds.worked)
    assert isinstance(builds.worked[-1], Finished)
    return builds.worked[-1].result


def kept(store: Store) -> Path:
    """Where MLflow keeps the release's files."""
    return Path(runs(store)[0].info.artifact_uri.removeprefix("file://")) / "release"


def pull(store: Store, to: Path, uri: str = CANDIDATE) -> Path:
    return pull_release(store, parse_address(uri), to).release.path


@pytest.mark.parametrize("uri", [CANDIDATE, "models:/sums/1"])
def test_a_registered_release_is_fetched_whole_and_no_alias_is_set(
    store: Store, result: Any, tmp_path: Path, uri: str
) -> None:
    path = pull(store, tmp_path / "here", uri)
    assert path == tmp_path / "here" / "sums" / result.version
    assert read_release(path).plan == read_release(result.path).plan
    assert verify_evidence(path) == [result.build_id] and read_aliases(path.parent).champion is None
    assert [entry.name for entry in (tmp_path / "here").iterdir()] == ["sums"]


def test_the_command_makes_it_the_champion_only_when_asked(store: Store, result: Any, tmp_path: Path) -> None:
    arguments = ["pull", CANDIDATE, "--mlflow-uri", store.address.uri, "--releases", str(tmp_path / "here")]
    done = CliRunner().invoke(main, arguments)
    assert done.stdout == f"sums@{result.version} is fetched, and all its digests hold\n"
    again = CliRunner().invoke(main, [*arguments, "--champion"])
    assert again.stdout.startswith(f"sums@{result.version} is here already")
    assert read_aliases(tmp_path / "here" / "sums").champion == result.version


def test_a_release_that_is_here_gains_the_evidence_it_lacks(store: Store, result: Any) -> None:
    shutil.rmtree(result.path / "evidence" / result.build_id)
    pulled = pull_release(store, parse_address(CANDIDATE), result.path.parent.parent)
    assert pulled.known and verify_evidence(result.path) == [result.build_id]


@pytest.mark.parametrize("name", ["plan.json", "release.json", "evidence/{}/scorecard.jsonl"])
def test_a_changed_file_is_refused_and_nothing_is_left(
    store: Store, result: Any, tmp_path: Path, name: str
) -> None:
    changed = kept(store) / name.format(result.build_id)
    changed.write_text(changed.read_text().replace("a", "b"))
    with pytest.raises(ReleaseInvalid):
        pull(store, tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("name", ["model.pkl", "MLmodel", ".hidden.json", "evidence/deep/er/x.json"])
def test_a_file_that_no_release_has_is_refused(store: Store, result: Any, tmp_path: Path, name: str) -> None:
    (kept(store) / name).parent.mkdir(parents=True, exist_ok=True)
    (kept(store) / name).write_bytes(b"\x80\x04")
    with pytest.raises(ReleaseInvalid, match="which is no file of a release"):
        pull(store, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_release_of_another_program_is_refused(store: Store, result: Any, tmp_path: Path) -> None:
    model = store.client.get_model_version("sums", "1")
    store.client.create_registered_model("other")
    store.client.create_model_version("other", model.source, model.run_id, tags={"release": result.version})
    with pytest.raises(ReleaseInvalid, match="the release is for 'sums', not 'other'"):
        pull(store, tmp_path / "here", "models:/other/1")


@pytest.mark.parametrize("tag", ["../../../../x", "", "0123456789ab"])
def test_a_version_that_claims_another_identity_is_refused(
    store: Store, result: Any, tmp_path: Path, tag: str
) -> None:
    store.client.set_model_version_tag("sums", "1", "release", tag)
    with pytest.raises(ReleaseInvalid):
        pull(store, tmp_path / "here")
    assert not (tmp_path / "here").exists() and not (tmp_path / "x").exists()


@contextlib.contextmanager
def lying_server(result: Any, listed: str) -> Iterator[str]:
    """An MLflow server whose registered release holds one file of any name."""
    answers: dict[str, Any] = {
        "registered-models/alias": {
            "model_version": {
                "name": "sums",
                "version": "1",
                "run_id": "r",
                "tags": [{"key": "release", "value": result.version}],
            }
        },
        "runs/get": {
            "run": {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}, "data": {}}
        },
        "logged-models/search": {},
        "mlflow-artifacts/artifacts": {"files": [{"path": listed, "is_dir": False, "file_size": 3}]},
    }

    async def answer(request: Request) -> Response:
        return JSONResponse(next(said for path, said in answers.items() if request.url.path.endswith(path)))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.mark.parametrize(
    "listed", ["../../../outside.json", "/outside.json", "evidence/../../x.json", "x\\..\\y"]
)
def test_a_server_cannot_name_a_file_outside(result: Any, tmp_path: Path, listed: str) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with lying_server(result, listed) as url:
        far = open_store(Address(url))
        with pytest.raises((ReleaseInvalid, TrackingUnavailable), match=r"Invalid path|no file of a release"):
            pull(far, tmp_path / "here")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_that_is_too_large_is_not_fetched(store: Store, result: Any, tmp_path: Path) -> None:
    with (kept(store) / "plan.json").open("ab") as file:
        file.truncate(33 * 1024 * 1024)
    with pytest.raises(ReleaseInvalid, match=r"too large: 'release/plan\.json' has 34603008 bytes"):
        pull(store, tmp_path / "here")


@pytest.mark.parametrize(
    "uri",
    ["sums", "models:/sums", "models:/../x/1", "models:/.x@champion", "models:/sums@../x"],
)
def test_what_is_no_registered_release_is_one_sentence(uri: str) -> None:
    with pytest.raises(UserMistake, match="is no registered release: give models:/PROGRAM@champion"):
        parse_address(uri)


@pytest.mark.parametrize("uri", ["models:/sums@champion", "models:/sums/9", "models:/nothing@candidate"])
def test_what_is_not_registered_is_told(store: Store, builds: Builds, tmp_path: Path, uri: str) -> None:
    record(store, *builds.worked)
    with pytest.raises(ReleaseNotFound, match="MLflow has no"):
        pull(store, tmp_path / "here", uri)
    assert not (tmp_path / "here").exists()


def test_a_folder_that_refuses_is_one_sentence(store: Store, result: Any, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("a file where the folder should be")
    arguments = ["pull", CANDIDATE, "--mlflow-uri", store.address.uri, "--releases", str(tmp_path / "here")]
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "can't write releases to" in done.stderr
