"""A hosted teacher in a build: reached by its name alone, its key left nowhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from tests.compiler.scripted import Adder
from tests.compiler.test_command import SUMS
from tests.engine.lmstudio import Downloaded, LMStudio, running

# LiteLLM would look for its price list on the network while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM and what it imports warn of their own insides

KEY = "sk-canary-0123456789"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        yield tmp_path


def build(*arguments: str, **environment: str) -> Result:
    command = ["build", "./sums.py", "--mlflow-uri", "off", *arguments]
    return CliRunner(env=environment).invoke(main, command)


def holding(folder: Path, text: str) -> list[str]:
    """The files below `folder` that hold a text."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_hosted_teacher_teaches_by_its_name_and_its_key_is_left_nowhere(here: Path) -> None:
    (here / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    student = LMStudio([Downloaded("small", loaded=True)], behind=Adder())
    # A provider is a server too; LiteLLM sends OpenAI's models where OPENAI_API_BASE says.
    provider = LMStudio([Downloaded("gpt-4.1-mini", loaded=True)], behind=Adder(), token=KEY)
    with running(student) as url, running(provider) as hosted:
        models = ["--student", url, "--teacher", "openai/gpt-4.1-mini"]
        done = build(*models, "--optimizer", "BootstrapFewShot", OPENAI_API_BASE=f"{hosted}/v1")
    assert done.exit_code == 0, done.output
    assert len(provider.bodies) > 5
    assert KEY not in done.output
    assert holding(here, KEY) == [str(here / ".env")]
    assert holding(here / "releases", "gpt-4.1-mini") != []


def test_a_student_may_be_hosted_too(here: Path) -> None:
    provider = LMStudio([Downloaded("gpt-4.1-mini", loaded=True)], behind=Adder(), token=KEY)
    with running(provider) as hosted:
        variables = {"OPENAI_API_BASE": f"{hosted}/v1", "OPENAI_API_KEY": KEY}
        done = build("--student", "openai/gpt-4.1-mini", "--optimizer", "BootstrapFewShot", **variables)
    assert done.exit_code == 0, done.output
    assert "Gain +50.0 points" in done.stdout
    assert holding(here, KEY) == []


def test_a_refused_key_is_not_shown(here: Path) -> None:
    student = LMStudio([Downloaded("small", loaded=True)], behind=Adder())
    provider = LMStudio([Downloaded("gpt-4.1-mini", loaded=True)], behind=Adder(), token="sk-another")
    with running(student) as url, running(provider) as hosted:
        done = build(
            "--student",
            url,
            "--teacher",
            "openai/gpt-4.1-mini",
            OPENAI_API_BASE=f"{hosted}/v1",
            OPENAI_API_KEY=KEY,
        )
    assert done.exit_code == 2 and "openai/gpt-4.1-mini" in done.stderr
    assert KEY not in done.output and holding(here, KEY) == []


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("openai/gpt-4.1", "'openai/gpt-4.1' needs a key: set OPENAI_API_KEY in the environment or in .env"),
        ("Qwen/Qwen3-8B", "LiteLLM knows no such provider"),
        ("nobody", "No student or teacher 'nobody' is configured"),
    ],
)
def test_a_teacher_that_cannot_be_had_is_one_sentence_before_any_work(
    here: Path, teacher: str, sentence: str
) -> None:
    student = LMStudio([Downloaded("small", loaded=True)], behind=Adder())
    with running(student) as url:
        done = build("--student", url, "--teacher", teacher)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr and "Traceback" not in done.output and not Path("releases").exists()
