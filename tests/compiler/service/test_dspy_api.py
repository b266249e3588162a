"""The older service's API: its shapes, to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from compiler.events import Scored, Spent, StageStarted
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.service.served import Told, furnish, until
from tests.compiler.service.served import serving as serving_console

QA = """
import dspy
from smallforge import Chat, Program, Sampling, exact_match

FIELDS = "context: str, history: dspy.History, question: str -> answer: str"

program = Program(
    "qa", lambda: dspy.Predict(dspy.Signature(FIELDS, "Answer from the context.")), lambda split: [],
    exact_match("answer"), Chat(user="question", answer="answer", history="history"), Sampling(max_tokens=64),
)
"""


@pytest.fixture
def adder() -> Adder:
    return Adder()


@pytest.fixture
def engine(adder: Adder) -> Iterator[Server]:
    with serving(adder) as served:
        yield served


@pytest.fixture
def asking(tmp_path: Path, engine: Server) -> Iterator[httpx.Client]:
    settings = furnish(tmp_path, engine.url, program=f"{tmp_path}/programs/qa.py")
    (tmp_path / "programs" / "qa.py").write_text(QA)
    with serving_console(tmp_path, settings, Told()) as client:
        yield client


def keys(content: dict[str, Any]) -> set[str]:
    return set(content)


def test_training_answers_with_its_status(client: httpx.Client, tmp_path: Path) -> None:
    asked = {
        "teacher_model": None,
        "student_model": "default",
        "data_path": f"{tmp_path}/data/sums.jsonl",
        "save_path": f"{tmp_path}/releases",
    }
    answer = client.post("/api/dspy/train", json=asked).json()
    assert keys(answer) == {"status", "message", "training_status"} and answer["status"] == "success"
    status = answer["training_status"]
    assert keys(status) == {"is_training", "current_task", "progress", "start_time"}
    assert status["is_training"] is True


def test_the_status_follows_the_training_to_its_end(
    client: httpx.Client, place: Told, tmp_path: Path
) -> None:
    before = client.get("/api/dspy/status").json()
    assert before["training_status"]["is_training"] is False
    client.post("/api/dspy/train", json={"data_path": f"{tmp_path}/data/sums.jsonl"})
    job = client.get("/api/jobs").json()["jobs"][0]
    until(client, job["id"], lambda job: job["state"] == "running")
    spent = Spent(10, 100, 10, None, 1.0)
    place.tell(place.runs[0].folder, StageStarted("optimise", 20), Scored("optimise", 5, 20), spent)
    status = client.get("/api/dspy/status").json()["training_status"]
    assert keys(status) == {
        "is_training", "current_task", "progress", "start_time", "completion_time", "error", "results",
    }  # fmt: skip
    assert status["current_task"] == "Optimise" and 0 < status["progress"] < 1
    place.end(place.runs[0].folder, 2, "3 train rows are too few.")
    until(client, job["id"], lambda job: job["state"] == "failed")
    over = client.get("/api/dspy/status").json()["training_status"]
    assert (over["is_training"], over["error"], over["results"]) == (False, "3 train rows are too few.", None)
    assert over["completion_time"] is not None


def test_a_question_about_a_context_is_answered(asking: httpx.Client) -> None:
    asked = {"context": "Sums are added.", "question": "What is 2 + 2?"}
    answer = asking.post("/api/dspy/example", json=asked)
    assert answer.json() == {"status": "success", "result": {"answer": "4", "student_model": "small"}}
    assert answer.headers["x-smallforge-release"] == "qa"


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "user", "content": "What is 8 + 8?"}, {"role": "assistant", "content": "16"}],
        [{"question": "What is 8 + 8?", "answer": "16"}],
    ],
)
def test_earlier_turns_stand_before_the_question(
    asking: httpx.Client, adder: Adder, history: list[dict[str, str]]
) -> None:
    asked = {"question": "What is 2 + 4?", "context": "Sums.", "history": history}
    answer = asking.post("/api/dspy/ask_with_context", json=asked).json()
    assert answer == {"status": "success", "result": {"answer": "6", "student_model": "small"}}
    assert [message["role"] for message in adder.asked[-1]] == ["system", "user", "assistant", "user"]
    assert "What is 8 + 8?" in adder.asked[-1][1]["content"]


def test_the_models_stand_by_their_tiers(asking: httpx.Client) -> None:
    models = asking.get("/api/dspy/models").json()
    assert keys(models) == {"teacher_models", "student_models"}
    assert keys(models["teacher_models"]) == {"high_quality", "balanced", "fast"}
    assert keys(models["student_models"]) == {"local_models", "embedding_models"}
    assert models["student_models"]["local_models"] == ["default", "default/small"]
    assert all(models["teacher_models"].values())


def test_an_engine_that_is_gone_is_told_with_its_code(client: httpx.Client, tmp_path: Path) -> None:
    answer = client.post("/api/dspy/example", json={"context": "", "question": "What is 2 + 2?"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_unreachable")


def test_an_answer_that_cannot_be_read_is_told_with_its_code(tmp_path: Path) -> None:
    with serving(Adder(lambda total: "no fields at all")) as engine:
        settings = furnish(tmp_path, engine.url)
        with serving_console(tmp_path, settings, Told()) as client:
            answer = client.post("/api/dspy/example", json={"context": "", "question": "What is 2 + 2?"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "answer_unusable")
