"""Tests for gateway/listing.py: what a client can know of a model before it asks it."""

from __future__ import annotations

from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from gateway.policy import FIELDS


def about(client: OpenAI, model: str) -> Any:
    found: Any = client.models.retrieve(model)
    return found.smallforge


def test_models_lists_every_name(client: OpenAI) -> None:
    models: Any = list(client.models.list())
    names = {model.id for model in models}
    assert {"quiz", "counting", "reading"} <= names
    assert len([name for name in names if name.startswith("quiz@")]) == 1
    assert all(model.object == "model" and model.owned_by == "smallforge" for model in models)


def test_a_model_tells_its_release_inputs_and_fields(client: OpenAI) -> None:
    reading = about(client, "reading")
    assert reading["release"] == f"reading@{reading['version']}" and reading["available"] is True
    assert reading["inputs"][2] == {"name": "history", "type": "history", "required": False}
    assert reading["outputs"] == [{"name": "answer", "type": "str"}]
    assert reading["parameters"].keys() == FIELDS.keys()
    assert client.models.retrieve("reading").created > 1_700_000_000


def test_a_version_is_a_model_too(client: OpenAI) -> None:
    release = about(client, "quiz")["release"]
    assert client.models.retrieve(release).id == release


def test_a_model_tells_what_of_a_chat_it_takes_and_whether_its_texts_are_streamed(client: OpenAI) -> None:
    reading, checked = (about(client, name)["capabilities"] for name in ("reading", "checked"))
    assert reading == {"history": True, "system": True, "streaming": True, "tools": False}
    assert checked == {"history": False, "system": False, "streaming": False, "tools": False}


def test_a_model_tells_how_it_was_measured_and_what_an_answer_costs(client: OpenAI) -> None:
    quiz = about(client, "quiz")
    assert quiz["score"] == {"mean": 0.9, "low": 0.83, "high": 0.94, "n": 120}
    assert quiz["unoptimised"]["mean"] == 0.5
    assert quiz["usd_per_1000"] == pytest.approx(0.0002) and quiz["teacher_usd_per_1000"] == 250


def test_what_no_build_measured_is_not_there(client: OpenAI) -> None:
    counting = about(client, "counting")
    assert not {"score", "unoptimised", "usd_per_1000", "teacher_usd_per_1000"} & counting.keys()


def test_the_list_tells_scores_and_prices_too(client: OpenAI) -> None:
    listed: Any = {model.id: model for model in client.models.list()}
    assert listed["quiz"].smallforge["score"]["n"] == 120
    assert "parameters" not in listed["quiz"].smallforge


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    for name in ("nope", "Qwen/Qwen3-0.6B"):
        with pytest.raises(NotFoundError) as caught:
            client.models.retrieve(name)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
