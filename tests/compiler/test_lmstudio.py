"""Whole builds with LM Studio as student and as teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from engine.chat import Reply
from programs.aliases import read_aliases
from programs.release import read_release
from tests.compiler.scripted import Adder
from tests.compiler.test_command import SUMS
from tests.engine.lmstudio import Downloaded, LMStudio, running


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        yield tmp_path


def build(*arguments: str, **environment: str) -> Result:
    command = ["build", "./sums.py", "--mlflow-uri", "off", *arguments]
    return CliRunner(env=environment).invoke(main, command)


def studio(*models: Downloaded) -> LMStudio:
    embedder = Downloaded("text-embedding-nomic-embed-text-v1.5", type="embeddings")
    return LMStudio([embedder, *models], behind=Adder(), load_seconds=0.1)


def test_a_student_in_lm_studio_becomes_a_release(here: Path) -> None:
    desktop = studio(Downloaded("small", loaded_context=6000))
    with running(desktop) as url:
        done = build("--student", url, "--optimizer", "BootstrapFewShot")
    assert done.exit_code == 0, done.output
    assert "Gain +50.0 points" in done.stdout and "Lowered to a plan" in done.stdout
    assert desktop.loads == ["small"]
    champion = read_aliases(Path("releases/sums")).champion
    assert champion is not None
    assert read_release(Path("releases/sums") / champion).identity.fingerprint["token_ids"] is None


def test_no_request_of_a_build_asks_for_what_lm_studio_refuses(here: Path) -> None:
    desktop = studio(Downloaded("small", loaded=True))
    with running(desktop) as url:
        assert build("--student", url, "--optimizer", "LabeledFewShot").exit_code == 0
    assert len(desktop.bodies) > 40
    assert [body for body in desktop.bodies if {"response_format", "tools", "n"} & set(body)] == []


def test_one_lm_studio_is_student_and_teacher_by_the_variables_its_users_have(here: Path) -> None:
    desktop = studio(Downloaded("small"), Downloaded("publisher/big"))
    with running(desktop) as url:
        variables = {"LM_STUDIO_API_URL": f"{url}/v1", "LM_STUDIO_CHAT_MODEL": "publisher/big"}
        done = build(
            "--teacher", "lmstudio", "--optimizer", "BootstrapFewShot", STUDENT_MODEL="small", **variables
        )
    assert done.exit_code == 0, done.output
    asked = {str(body["model"]) for body in desktop.bodies}
    assert asked == {"small", "publisher/big"} and sorted(desktop.loads) == ["publisher/big", "small"]


def test_a_teacher_there_can_be_named_by_engine_and_model(here: Path) -> None:
    desktop = studio(Downloaded("small"), Downloaded("publisher/big"))
    with running(desktop) as url:
        variables = {"LM_STUDIO_API_URL": url, "LM_STUDIO_CHAT_MODEL": "small"}
        done = build("--teacher", "lmstudio/publisher/big", "--optimizer", "BootstrapFewShot", **variables)
    assert done.exit_code == 0, done.output
    assert sorted(desktop.loads) == ["publisher/big", "small"]


class Crashing(Adder):
    """Brings its server's model down after every tenth answer."""

    desktop: LMStudio

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        reply = await super().complete(messages, params)
        self.desktop.crashes += self.calls % 10 == 0
        return reply


def test_a_model_that_crashes_now_and_then_does_not_spoil_a_build(here: Path) -> None:
    desktop = studio(Downloaded("small", loaded=True))
    crashing = desktop.behind = Crashing()
    crashing.desktop = desktop
    with running(desktop) as url:
        done = build("--student", url, "--optimizer", "none", "--concurrency", "2")
    assert done.exit_code == 0, done.output
    # As with the same student on a server that never fails; every crash was one more request.
    assert "50.0 %" in done.stdout
    assert len(desktop.bodies) >= 8 + crashing.calls + crashing.calls // 10 - 1 and crashing.calls > 20
