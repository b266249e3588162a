"""The image and the compose file keep the rules of the trade, by linters that others wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.launch import Address, vllm_launch
from engine.model_files import find_model
from engine.recipes import RECIPES
from tests.deploy.image import COMPOSE, DOCKERFILE, ROOT, command, copied, environment, of, services

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "linter",
    [("hadolint", DOCKERFILE), ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)],
    ids=lambda it: str(it[0]),
)
def test_a_linter_finds_nothing(linter: tuple[str, ...]) -> None:
    done = subprocess.run([BIN / linter[0], *linter[1:]], capture_output=True, text=True)
    assert (done.returncode, done.stdout.replace("ok -- validation done\n", "")) == (0, "")


def test_the_image_runs_as_nobody_who_may_anything() -> None:
    assert int(of("USER")[-1]) > 0
    assert f"--uid {of('USER')[-1]} " in of("RUN")[-1]


def test_only_what_is_locked_by_its_hash_is_installed() -> None:
    (install,) = [line for line in of("RUN") if "pip" in line]
    assert "--require-hashes" in install and "-r /requirements.txt" in install
    locked = (ROOT / "requirements" / "gateway.txt").read_text()
    assert all(name not in locked for name in ("dspy", "litellm", "torch", "mlflow"))


def test_all_that_is_copied_is_there_and_sent_along() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [source for names, _ in copied() for source in names if "[" not in source]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert {source.split("/")[0] for source in sources} & set(ignored) == set()


def test_the_packages_of_the_gateway_and_no_other_are_in_the_image() -> None:
    app = environment()["PYTHONPATH"]
    assert {Path(to).name for _, to in copied() if to.startswith(app)} == {"programs", "engine", "gateway"}
    assert command("ENTRYPOINT")[:3] == ["python", "-m", "gateway"]


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services()["vllm"]


def test_every_file_that_a_service_is_given_is_there() -> None:
    mounted = [volume for service in services().values() for volume in service.get("volumes", ())]
    ours = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert len(ours) == 3
    assert all((COMPOSE.parent / folder).is_dir() for folder in ours)


def test_vllm_is_started_as_engine_serve_starts_it() -> None:
    model = find_model(str(ROOT / "deploy" / "student"))
    known = vllm_launch(Path("python"), RECIPES["gpu"], model, Address("127.0.0.1", 8000)).command
    assert {word.split("=")[0] for word in services()["vllm"]["command"]} <= set(known)


def test_every_image_has_a_version() -> None:
    images = [service["image"] for name, service in services().items() if "build" not in service]
    assert all(":v" in image or image.startswith("grafana/grafana:") for image in images)
    assert all(line.split()[0].count(":") == 1 for line in of("FROM"))
