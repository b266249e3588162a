"""Builds tracked by a real MLflow server: what a person finds there, and what is left when it dies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from programs.aliases import read_aliases
from programs.release import read_release, verify_evidence
from tests.compiler.scripted import Adder
from tests.compiler.served import serving
from tests.compiler.test_command import SUMS
from tests.integration.conftest import BIN, House, free_port, running

# What MLflow's server would start and look up beside what is tested here; without a network, LiteLLM hangs.
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def mlflow_server(folder: Path, port: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    return running(command, folder, f"http://127.0.0.1:{port}/health", 120, OFFLINE)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), port):
        yield f"http://127.0.0.1:{port}"


def user_folder(folder: Path, server: str) -> House:
    (folder / "sums.py").write_text(SUMS)
    (folder / "smallforge.toml").write_text(f'[compiler]\nmlflow_uri = "{server}"\n')
    return House(folder, "", "", "")


@pytest.fixture(scope="session")
def built(server: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A folder with a searched champion and a plain candidate, both tracked while they were built."""
    house = user_folder(tmp_path_factory.mktemp("sums"), server)
    with serving(Adder()) as student:
        build = ("compiler", "build", "./sums.py", "--student", student.url)
        shown = house.run(*build, "--set", "num_candidate_programs=2")
        shown += house.run(*build, "--optimizer", "none")
    assert "MLflow" not in shown
    return house


def runs_of(server: str, kind: str) -> list[Any]:
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("sums")
    return list(client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'"))


def searched(server: str) -> Any:
    return next(run for run in runs_of(server, "build") if run.data.params["optimizer"] != "none")


def test_a_build_is_a_run_with_its_candidates_below_it(built: House, server: str) -> None:
    run = searched(server)
    assert run.info.status == "FINISHED" and run.info.run_name.startswith("sums-randomsearch-")
    assert run.data.metrics["test_score"] == 1.0 and run.data.metrics["gain"] == 0.5
    assert run.data.metrics["test_score_low"] < 1 and run.data.metrics["prompt_tokens"] > 1000
    candidates = runs_of(server, "candidate")
    assert {nested.data.tags["mlflow.parentRunId"] for nested in candidates} == {run.info.run_id}
    assert len(candidates) >= 3 and all("score" in nested.data.metrics for nested in candidates)
    steps = [m.step for m in MlflowClient(server).get_metric_history(run.info.run_id, "progress/score_score")]
    assert steps == list(range(1, 21))


def test_mlflow_itself_reads_the_answers_as_a_table(built: House, server: str) -> None:
    # MLflow reads tables from the one store that its process is set to, hence another process.
    script = (
        "import sys, mlflow; mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_experiment('sums')\n"
        "table = mlflow.load_table('samples.json', run_ids=[sys.argv[2]])\n"
        "print(len(table), *table.columns)"
    )
    command = [sys.executable, "-c", script, server, searched(server).info.run_id]
    rows, *columns = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(rows) >= 40 and {"program", "expected", "output", "score"} <= set(columns)


def test_releases_are_registered_under_the_aliases_they_have_on_disk(built: House, server: str) -> None:
    client = MlflowClient(server)
    for alias in ("champion", "candidate"):
        model = client.get_model_version_by_alias("sums", alias)
        assert model.tags["release"] == built.alias("sums", alias)
        names = [found.path for found in client.list_artifacts(model.run_id, "release")]
        assert names == ["release/evidence", "release/plan.json", "release/release.json"]


def test_a_promotion_here_moves_the_alias_there(built: House, server: str) -> None:
    candidate = built.alias("sums", "candidate")
    client = MlflowClient(server)
    built.run("compiler", "promote", f"sums@{candidate}", "--force", "--reason", "to see it move")
    assert client.get_model_version_by_alias("sums", "champion").tags["release"] == candidate
    built.run("compiler", "rollback", "sums")
    assert client.get_model_version_by_alias("sums", "champion").tags["release"] != candidate


def test_runs_are_filtered_by_their_score(built: House) -> None:
    listed = json.loads(
        built.run("compiler", "runs", "sums", "--filter", "metrics.test_score > 0.8", "--json")
    )
    assert [run["optimizer"] for run in listed] == ["BootstrapFewShotWithRandomSearch"]


@pytest.mark.parametrize("model", ["models:/sums@champion", "models:/sums/1"])
def test_a_registered_release_comes_back_whole(built: House, tmp_path: Path, model: str) -> None:
    champion = built.alias("sums", "champion")
    built.run("compiler", "pull", model, "--releases", str(tmp_path), "--champion")
    release = read_release(tmp_path / "sums" / champion)
    assert release.plan is not None and len(verify_evidence(release.path)) == 1
    assert read_aliases(tmp_path / "sums").champion == champion


def test_a_server_that_dies_while_a_build_runs_gets_the_rest_afterwards(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    house = user_folder(tmp_path, url)
    with serving(Adder(pause=0.05)) as student:
        with mlflow_server(tmp_path, port):
            command = [str(BIN / "compiler"), "build", "./sums.py", "--student", student.url]
            building = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            while student.calls < 40 and building.poll() is None:
                time.sleep(0.05)
        _, told = building.communicate(timeout=120)
    assert building.returncode == 0, told
    (line,) = [line for line in told.splitlines() if "MLflow" in line]
    found = re.search(r"compiler log (sums@\w+)", line)
    assert found is not None and "failed: connection refused" in line
    with mlflow_server(tmp_path, port):
        logged = house.run("compiler", "log", found[1])
        assert re.fullmatch(r"build \S+ is logged as sums-\S+\n", logged)
        (run,) = runs_of(url, "build")
        assert run.info.status == "FINISHED" and run.data.metrics["test_score"] == 1.0
        assert "is logged already" in house.run("compiler", "log", found[1])
        model = MlflowClient(url).get_model_version_by_alias("sums", "champion")
        assert model.tags["release"] == house.alias("sums", "champion")
