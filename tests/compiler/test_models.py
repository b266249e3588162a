"""What `compiler models` finds and suggests."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from compiler.models import suggestions, survey
from engine.home import EngineHome
from engine.providers import KEY_VARIABLES, provider_of
from engine.running import RunningEngine, announce, birth_of
from engine.settings import EngineSettings, Settings
from tests.engine.lmstudio import Downloaded, LMStudio, running
from tests.engine.scripted_server import replying, serving

NO_KEYS = {name: None for names in KEY_VARIABLES.values() for name in names}
LISTED = replying({"data": [{"id": "tiny", "max_model_len": 4096}]})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in which the command runs and which is the home of its engines."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> Result:
    variables = {**NO_KEYS, "SMALLFORGE_HOME": str(folder), **environment}
    return CliRunner(env=variables).invoke(main, ["models", *arguments])


def found(folder: Path, *arguments: str, **environment: str) -> Any:
    done = run(folder, "--json", *arguments, **environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_desktop_shows_what_it_has_loaded_and_what_not(here: Path) -> None:
    studio = LMStudio(
        [Downloaded("small", loaded=True), Downloaded("big"), Downloaded("e", type="embeddings")]
    )
    with running(studio) as url:
        done = run(here, LM_STUDIO_API_URL=f"{url}/v1")
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("lmstudio")]
    assert rows == [
        ["lmstudio", "small", "8,192", "loaded", "unknown", url],
        ["lmstudio", "big", "131,072", "not", "loaded", "unknown", url],
    ]
    assert studio.loads == [] and studio.bodies == []


def test_a_server_that_is_down_is_told_and_the_others_are_shown(here: Path) -> None:
    with running(LMStudio([Downloaded("small", loaded=True)])) as url:
        Path("smallforge.toml").write_text(
            f'[engines.desk]\nurls = ["{url}", "http://127.0.0.1:9"]\nusd_per_hour = 0.5\n'
            '[students.default]\nengine = "desk"'
        )
        data = found(here)
        assert "desk: The engine at http://127.0.0.1:9 can't be reached" in run(here).stdout
    assert [(it["model"], it["price"]["usd_per_hour"]) for it in data["served"]] == [("small", 0.5)]
    assert [it["url"] for it in data["silent"]] == ["http://127.0.0.1:9"]


def test_without_anything_it_says_how_to_get_a_model(here: Path) -> None:
    done = run(here)
    assert done.stdout.startswith("No server with models answers; --probe looks for servers on this machine.")
    assert "none: no key of a hosted service" in done.stdout


def test_hosted_services_are_listed_by_their_keys_which_stay_unseen(here: Path) -> None:
    (here / ".env").write_text("HUGGINGFACE_API_KEY=hf-canary\n")
    Path("smallforge.toml").write_text(
        '[engines.big]\nmodel = "openai/gpt-4.1"\n[teachers.big]\nengine = "big"\n'
        '[engines.azure]\nmodel = "azure/mine"\n[teachers.azure]\nengine = "azure"'
    )
    done = run(here)
    assert "  openai/gpt-4.1: no key; set OPENAI_API_KEY, 2 in, 8 out" in done.stdout
    assert "  azure/mine: its key is for LiteLLM to find" in done.stdout
    assert "  huggingface: key set" in done.stdout
    assert "hf-canary" not in done.output + json.dumps(found(here))


async def test_an_engine_of_this_machine_is_found_with_its_price(tmp_path: Path) -> None:
    async with serving(LISTED) as server:
        up = RunningEngine(server.url, "tiny", "vllm", os.getpid(), birth_of(os.getpid()) or "", None)
        announce(EngineHome(tmp_path), up)
        engines = {"here": EngineSettings("here", usd_per_hour=0.1)}
        result = await survey(Settings(home=tmp_path, engines=engines), {})
    (model,) = result.served
    assert (model.engine, model.model, model.context_tokens, model.loaded) == ("local", "tiny", 4096, None)
    assert model.price is not None and model.price.usd_per_hour == 0.1


async def test_ports_are_asked_only_when_given_and_only_answers_are_told(tmp_path: Path) -> None:
    async with serving(LISTED) as server:
        port = urlsplit(server.url).port or 0
        asked = await survey(Settings(home=tmp_path), {port: "LM Studio", 9: "Nobody"})
        unasked = await survey(Settings(home=tmp_path), {})
    assert [(it.engine, it.url) for it in asked.served] == [("LM Studio", server.url)]
    assert (asked.silent, unasked.served, len(server.bodies)) == ([], [], 1)


async def test_a_server_that_is_configured_is_not_asked_again(tmp_path: Path) -> None:
    async with serving(LISTED) as server:
        engines = {"mine": EngineSettings("mine", urls=(f"{server.url}/v1/",))}
        port = urlsplit(server.url).port or 0
        result = await survey(Settings(home=tmp_path, engines=engines), {port: "vLLM"})
    assert [it.engine for it in result.served] == ["mine"]


def test_every_suggested_number_says_where_it_is_from() -> None:
    suggested = suggestions()
    assert {teacher.tier for teacher in suggested.teachers} == {"high quality", "balanced", "fast"}
    for model in [*suggested.teachers, *suggested.students]:
        assert (model.context_tokens is None) == (model.context_source == ""), model.name
    assert all(student.price is None for student in suggested.students)
    assert all(provider_of(teacher.name) in KEY_VARIABLES for teacher in suggested.teachers)


@pytest.mark.filterwarnings("ignore")  # LiteLLM and what it imports warn of their own insides
def test_numbers_said_to_be_litellms_are() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    for teacher in suggestions().teachers:
        provider = provider_of(teacher.name)
        listed = litellm.model_cost.get(teacher.name) or litellm.model_cost.get(
            teacher.name.removeprefix(f"{provider}/")
        )
        if not teacher.context_source.startswith("LiteLLM"):
            assert teacher.price is None and not listed
            continue
        assert listed["litellm_provider"] == provider
        assert listed["max_input_tokens"] == teacher.context_tokens, teacher.name
        assert teacher.price is not None, teacher.name
        assert listed["input_cost_per_token"] * 1e6 == pytest.approx(teacher.price.usd_per_million_input)
        assert listed["output_cost_per_token"] * 1e6 == pytest.approx(teacher.price.usd_per_million_output)
        assert "deprecation_date" not in listed, teacher.name


def test_the_bundled_students_context_is_its_own() -> None:
    config = json.loads((Path(__file__).parents[2] / "deploy" / "student" / "config.json").read_text())
    (bundled,) = [it for it in suggestions().students if it.name == "smallforge-student"]
    assert bundled.context_tokens == config["max_position_embeddings"]


def test_the_table_as_json_has_the_same_models(here: Path) -> None:
    data = found(here)
    assert [it["name"] for it in data["suggested"]["teachers"]] == [it.name for it in suggestions().teachers]
    assert data["suggested"]["date"] == suggestions().date
