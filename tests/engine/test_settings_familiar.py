"""Variables of other tools that are understood, and what wins over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.providers import KEY_VARIABLES
from engine.settings_familiar import FAMILIAR, from_familiar
from engine.settings_sources import read_sources
from engine.settings_validation import Engine, Top, validated

LM_STUDIO = {"LM_STUDIO_API_URL": "http://127.0.0.1:1234/v1"}


def settings(folder: Path, text: str = "", **variables: str) -> Top:
    (folder / "smallforge.toml").write_text(text)
    return validated(read_sources(folder / "smallforge.toml", variables, {}))


def student(top: Top) -> tuple[Engine, str | None]:
    """The engine that is meant when no student is named, and its model."""
    binding = top.students[top.student]
    return top.engines[binding.engine], binding.model or top.engines[binding.engine].model


def test_lm_studios_address_is_enough_for_student_and_teacher(tmp_path: Path) -> None:
    top = settings(tmp_path, **LM_STUDIO, LM_STUDIO_CHAT_MODEL="google/gemma-3-4b")
    engine, model = student(top)
    assert (engine.urls, engine.kind, model) == (
        ("http://127.0.0.1:1234/v1",),
        "lmstudio",
        "google/gemma-3-4b",
    )
    assert top.teachers["lmstudio"].engine == top.students["lmstudio"].engine == "lmstudio"


def test_an_address_without_a_scheme_is_understood(tmp_path: Path) -> None:
    engine, _ = student(settings(tmp_path, LM_STUDIO_API_URL="localhost:1234"))
    assert engine.urls == ("http://localhost:1234",)


def test_a_configured_student_stays_and_lm_studio_can_be_named(tmp_path: Path) -> None:
    top = settings(tmp_path, 'student = "http://host:8000"', **LM_STUDIO, STUDENT_MODEL="qwen")
    engine, model = student(top)
    assert (engine.urls, model) == (("http://host:8000",), None)
    assert top.engines["lmstudio"].urls == ("http://127.0.0.1:1234/v1",)


def test_our_own_variable_wins(tmp_path: Path) -> None:
    top = settings(tmp_path, **LM_STUDIO, SMALLFORGE_STUDENT="http://host:8000")
    assert student(top)[0].urls == ("http://host:8000",)


def test_the_file_wins_over_what_it_also_says_of_lm_studio(tmp_path: Path) -> None:
    text = '[engines.lmstudio]\nmodel = "mine"\nusd_per_hour = 0.1'
    engine, model = student(settings(tmp_path, text, **LM_STUDIO, LM_STUDIO_CHAT_MODEL="theirs"))
    assert (model, engine.usd_per_hour, engine.kind) == ("mine", 0.1, "lmstudio")


def test_the_students_model_may_be_another_than_the_chat_model(tmp_path: Path) -> None:
    top = settings(tmp_path, **LM_STUDIO, LM_STUDIO_CHAT_MODEL="big", STUDENT_MODEL="openai/gpt-oss-20b")
    assert student(top)[1] == "openai/gpt-oss-20b"
    assert top.engines[top.teachers["lmstudio"].engine].model == "big"


@pytest.mark.parametrize("value", ["http://host:8000", "huggingface/Qwen/Qwen3-8B", "small"])
def test_without_lm_studio_the_student_is_a_url_a_hosted_model_or_a_name(tmp_path: Path, value: str) -> None:
    text = "[engines.e]\nurls = ['http://a']\n[students.small]\nengine = 'e'"
    top = settings(tmp_path, text, STUDENT_MODEL=value)
    assert top.student == ("default" if "://" in value else value)


def test_a_configured_name_and_a_url_are_no_models_of_lm_studio(tmp_path: Path) -> None:
    text = "[engines.e]\nurls = ['http://a']\n[students.small]\nengine = 'e'"
    assert student(settings(tmp_path, text, **LM_STUDIO, STUDENT_MODEL="small"))[0].urls == ("http://a",)
    named = settings(tmp_path, text, **LM_STUDIO, STUDENT_MODEL="http://host")
    assert student(named)[0].urls == ("http://host",)


def test_a_student_that_is_nothing_of_these_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsInvalid, match="student: 'qwen' is no URL, no configured student and no provider"
    ):
        settings(tmp_path, STUDENT_MODEL="qwen")


def test_builds_are_logged_where_mlflow_is_told_to_be(tmp_path: Path) -> None:
    variables = {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    assert settings(tmp_path, **variables).compiler.mlflow_uri == "http://mlflow:5000"
    ours = settings(tmp_path, "[compiler]\nmlflow_uri = 'off'", **variables)
    assert ours.compiler.mlflow_uri == "off"


def test_lm_studios_token_is_its_key(tmp_path: Path) -> None:
    engine, _ = student(settings(tmp_path, **LM_STUDIO, LM_API_TOKEN="sk-lm-canary"))
    assert engine.key_env == "LM_API_TOKEN"


def test_empty_variables_and_those_without_an_address_say_nothing(tmp_path: Path) -> None:
    quiet = {"LM_STUDIO_CHAT_MODEL": "x", "LM_API_TOKEN": "y", "LM_STUDIO_API_URL": "", "STUDENT_MODEL": " "}
    assert settings(tmp_path, **quiet) == settings(tmp_path)


def test_variables_are_read_from_dotenv_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LM_STUDIO_API_URL=http://127.0.0.1:1\n")
    assert student(settings(tmp_path))[0].urls == ("http://127.0.0.1:1",)


def test_every_one_is_on_the_page_and_does_something() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text()
    missing = [name for name in FAMILIAR if f"`{name}`" not in page]
    missing += [name for names in KEY_VARIABLES.values() for name in names[:1] if f"`{name}`" not in page]
    assert missing == []
    for name in FAMILIAR:
        everything = dict.fromkeys(FAMILIAR, "http://x")
        less = {other: value for other, value in everything.items() if other != name}
        assert from_familiar(everything, {}) != from_familiar(less, {}), name
