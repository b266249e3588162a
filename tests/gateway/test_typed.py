"""Typed fields of a program as clients see them, run as one constant prompt and as an interpreted module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import httpx
import pytest
from openai import APIStatusError, OpenAI

from compiler.candidate import PLAIN
from compiler.lowering import lower
from programs.data import load_examples
from programs.errors import DataInvalid
from programs.loading import load_program
from programs.signature import signature_fields
from tests.gateway import stepping
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.telling import Teller, installed, put_interpreted, telling

OUTPUTS = {
    "twin": {"name": "Bea", "age": 41, "tags": []},
    "seen": "sad",
    "scores": {"a": 1, "b": 2},
    "size": "small",
    "nearest": [{"name": "Cal", "age": 3, "tags": ["x"]}],
    "left": None,
    "answer": True,
}
SAID = {
    "twin": '{"name": "Bea", "age": "41"}', "seen": "SAD", "scores": '{"a": 1, "b": 2}', "size": "small",
    "nearest": '[{"name": "Cal", "age": 3, "tags": ["x"]}]', "left": "None", "answer": "True",
}  # fmt: skip
INPUTS = {"person": {"name": "Ann", "age": 40}, "mood": "glad", "weights": {"w": 1}, "question": "Who?"}


def reply(**changes: str) -> str:
    return "\n\n".join([f"[[ ## {name} ## ]]\n{text}" for name, text in {**SAID, **changes}.items() if text])


@pytest.fixture(scope="module")
def teller() -> Iterator[Teller]:
    with telling(lambda messages: reply()) as teller:
        yield teller


@pytest.fixture(scope="module")
def gateway(teller: Teller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("typed")
    student = fingerprint_of(teller.url)
    with installed(folder, Path(stepping.__file__), "typed", "typed_prompt"):
        put_interpreted(folder / "releases", student, "typed")
        prompt = load_program("typed_prompt")
        put_release(folder / "releases", lower(prompt.make_module(), prompt, PLAIN, None), student)
        with running_gateway(settings_for(folder, teller.url)) as gateway:
            yield gateway


@pytest.fixture
def asked(teller: Teller) -> Iterator[list[list[dict[str, str]]]]:
    """What the model was asked."""
    requests: list[list[dict[str, str]]] = []

    def tell(messages: list[dict[str, str]]) -> str:
        requests.append(messages)
        return reply()

    teller.tell = tell
    yield requests
    teller.tell = lambda messages: reply()


@pytest.fixture(params=["typed", "typed_prompt"])
def model(request: pytest.FixtureRequest) -> str:
    """Both ways of running."""
    return str(request.param)


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0, timeout=60) as client:
        yield client


def ask(client: OpenAI, model: str, inputs: dict[str, Any], **fields: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[], extra_body={"inputs": inputs}, **fields)


def test_every_output_has_its_type(client: OpenAI, model: str) -> None:
    message = ask(client, model, INPUTS).choices[0].message
    assert message.outputs == OUTPUTS
    assert message.content == "true"


def test_a_stream_gives_the_same(client: OpenAI, model: str) -> None:
    chunks = list(ask(client, model, INPUTS, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "true"
    assert chunks[-1].choices[0].delta.outputs == OUTPUTS


def test_the_model_sees_inputs_and_past_turns_alike_in_both_ways(
    client: OpenAI, asked: list[list[dict[str, str]]]
) -> None:
    history = [{"question": "Before?", "answer": False}, {"question": "And?", "seen": "glad", "answer": True}]
    for model in ("typed", "typed_prompt"):
        ask(client, model, {**INPUTS, "limit": 3, "history": history})
    interpreted, prompt = asked
    assert interpreted == prompt
    assert [message["role"] for message in prompt] == ["system", *["user", "assistant"] * 2, "user"]
    assert '{"name": "Ann", "age": 40, "tags": []}' in prompt[-1]["content"]
    assert "[[ ## mood ## ]]\nglad" in prompt[-1]["content"] and '{"w": 1.0}' in prompt[-1]["content"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("person", {"name": "Ann"}, "'age' field required"),
        ("person", {"name": "Ann", "age": "40"}, "'age' input should be a valid integer"),
        ("person", {"name": "Ann", "age": -1}, "greater than or equal to 0"),
        ("person", "Ann", "does not fit its type"),
        ("mood", "angry", "must be enum"),
        ("weights", {"w": "heavy"}, "'w' input should be a valid number"),
        ("limit", "three", "must be int"),
        ("history", "before", "history"),
        ("history", ["before"], "history"),
        ("question", 7, "must be str"),
        ("question", None, "is missing"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_name(
    client: OpenAI, model: str, name: str, value: Any, told: str
) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(client, model, {**INPUTS, name: value})
    assert (caught.value.status_code, caught.value.param) == (400, f"inputs.{name}")
    assert told in caught.value.message


@pytest.mark.parametrize(
    "change", [{"twin": "Bea"}, {"seen": "angry"}, {"scores": "[1]"}, {"answer": "maybe"}, {"left": "few"}]
)
def test_a_reply_of_another_type_is_a_clear_failure(
    client: OpenAI, teller: Teller, model: str, change: dict[str, str]
) -> None:
    teller.tell = lambda messages: reply(**change)
    with pytest.raises(APIStatusError) as caught:
        ask(client, model, INPUTS)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")


def test_an_optional_output_may_be_missing(client: OpenAI, teller: Teller, model: str) -> None:
    teller.tell = lambda messages: reply(left="")
    assert ask(client, model, INPUTS).choices[0].message.outputs == OUTPUTS


def test_a_schema_of_the_client_is_held_against_typed_outputs(client: OpenAI, model: str) -> None:
    teller_schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "twin": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 40}}},
            "seen": {"enum": ["glad", "sad"]},
        },
        "required": ["twin", "seen"],
        "additionalProperties": False,
    }

    def formatted(schema: dict[str, Any]) -> Any:
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        return ask(client, model, INPUTS, response_format=wanted).choices[0].message.content

    assert json.loads(formatted(teller_schema)) == {"twin": OUTPUTS["twin"], "seen": "sad"}
    teller_schema["properties"]["twin"]["properties"]["age"]["minimum"] = 50
    with pytest.raises(APIStatusError) as caught:
        formatted(teller_schema)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")


def test_a_schema_that_a_prompts_types_can_never_meet_is_refused_first(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"twin": {"type": "string"}}}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    with pytest.raises(APIStatusError) as caught:
        ask(client, "typed_prompt", INPUTS, response_format=wanted)
    assert (caught.value.status_code, caught.value.code) == (400, "schema_unmeetable")


def test_the_card_of_a_model_shows_what_its_values_are(gateway: RunningGateway, model: str) -> None:
    about = httpx.get(f"{gateway.url}/v1/models/{model}").json()["smallforge"]
    inputs = {field["name"]: field for field in about["inputs"]}
    assert inputs["person"]["schema"]["properties"]["age"] == {
        "minimum": 0, "title": "Age", "type": "integer",
    }  # fmt: skip
    assert inputs["mood"]["choices"] == ["glad", "sad"]
    assert (inputs["limit"]["type"], inputs["limit"]["required"]) == ("int", False)


def test_rows_of_a_file_are_judged_by_the_same_types(tmp_path: Path) -> None:
    fields = signature_fields(stepping.Profile)
    rows: list[dict[str, Any]] = [
        {**INPUTS, **OUTPUTS},
        {**INPUTS, **OUTPUTS, "person": {"name": "Ann", "age": "40"}, "seen": "mad"},
    ]
    rows[0] |= {"history": [{"question": "Before?", "answer": False}]}
    labels = [field for field in fields.outputs if field.required]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataInvalid) as caught:
        load_examples(file, fields.inputs, labels)
    assert caught.value.mistakes == (
        "rows.jsonl line 2: field 'person' does not fit its type: at 'age' input should be a valid integer",
        "rows.jsonl line 2: field 'seen' must be one of 'glad', 'sad', not 'mad'",
    )
    file.write_text(json.dumps(rows[0]))
    example = load_examples(file, fields.inputs, labels)[0]
    assert example.person == INPUTS["person"] and isinstance(example.history, dspy.History)
