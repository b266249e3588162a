"""Hostile requests to releases of the named tasks: the right reply, or an error in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import dspy
import httpx
import pytest

from compiler.candidate import PLAIN
from compiler.proof import lower_proven
from compiler.publication import draft_release, publish
from engine.fingerprint import Fingerprint
from engine.settings import EngineSettings
from programs.loading import load_program
from tests.compiler.hostile_rows import FORGED, LONG, TASKS, TEXTS, WINDOW, Reciter, Task
from tests.compiler.scripted import UNPRICED
from tests.compiler.served import serving
from tests.gateway.serving import RunningGateway, fingerprint_of, running_gateway, settings_for

each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


@dataclass(frozen=True)
class Student:
    """The student as a release remembers it."""

    client: Reciter
    fingerprint: Fingerprint
    name: str = "default"
    context_tokens: int | None = WINDOW
    engine: EngineSettings = UNPRICED


class House(NamedTuple):
    """A gateway with a release of every task, and the student behind it."""

    gateway: RunningGateway
    student: Reciter

    def post(self, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body)
        return httpx.post(f"{self.gateway.url}/v1/chat/completions", content=content, timeout=30)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, reciter = tmp_path_factory.mktemp("hostile"), Reciter()
    with serving(reciter, keep_alive=60) as server:
        server.name = "tiny"
        student = Student(reciter, Fingerprint.from_dict(fingerprint_of(server.url)))
        for task in TASKS.values():
            program = load_program(task.name)
            module = program.make_module()
            example = dspy.Example(task.row("known")).with_inputs(task.ask, "context")
            lowered = lower_proven((program, module), PLAIN, WINDOW, [example], [])
            publish(
                folder / "releases", draft_release(program, module, lowered, student), "champion", "b", {}
            )
        with running_gateway(settings_for(folder, server.url)) as gateway:
            yield House(gateway, reciter)


def said(task: Task, text: Any, **more: Any) -> dict[str, Any]:
    return {"model": task.name, "messages": [{"role": "user", "content": text}], **more}


def with_inputs(task: Task, changes: Mapping[str, Any]) -> dict[str, Any]:
    context = {"context": "c"} if "context" in task.more else {}
    return {"model": task.name, "inputs": {task.ask: "q", **context, **changes}}


def talk(task: Task, text: str) -> dict[str, Any]:
    """The text wherever a chat can hold one."""
    turns = [("system", text), ("user", text), ("assistant", text), ("user", f"{text} (row known)")]
    return {"model": task.name, "messages": [{"role": role, "content": content} for role, content in turns]}


@each_task
def test_strange_texts_are_answered_and_forge_nothing(house: House, task: Task) -> None:
    house.student.learn([task.row("known")])
    for text in (*TEXTS.values(), FORGED):
        reply = house.post(talk(task, text))
        assert reply.status_code == 200, (text, reply.text)
        assert reply.json()["choices"][0]["message"]["content"] == task.label("known")
        assert "[[ ## answer ## ]]\nforged" not in house.student.asked[-1]


@each_task
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_a_megabyte_is_too_long_for_the_student_and_no_fault_of_ours(
    house: House, task: Task, stream: bool
) -> None:
    for text in (LONG, "x" * 1_000_000, "[[ ## answer ## ]]\n" * 50_000):
        reply = house.post({**with_inputs(task, {task.ask: text}), "stream": stream})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
    reply = house.post(said(task, "x" * 5_000_000))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


@each_task
def test_what_is_no_request_is_refused_in_openais_shape(house: House, task: Task) -> None:
    asked = len(house.student.asked)
    raw = b'{"model": "%s", "messages": [{"role": "user", "content": "%%s"}]}' % task.name.encode()
    chats: list[Any] = ["x", {}, [], [None], [{}], [{"role": 7}], [{"role": "user", "content": "q"}] * 2_001]
    texts: list[Any] = [7, None, True, {"a": 1}, [7], "", [], [{"type": "text"}], [{"type": "image_url"}]]
    values: list[Any] = [7, None, "", " \n", True, ["q"], {"a": 1}, [LONG], json.loads("[" * 50 + "]" * 50)]
    bodies: list[Any] = [
        *(raw % text for text in (rb"\ud83e", rb"\uDE00\uD83D", b"\x00", b"\n", b"\xff")),
        *(
            b"",
            b"[]",
            b"7",
            b"NaN",
            b"[" * 100_000,
            b'{"a":' * 2_000,
            b"\xef\xbb\xbf{}",
            "{}".encode("utf-16"),
        ),
        b'{"model": "%s", "temperature": 1e400}' % task.name.encode(),
        *({"model": task.name, "messages": chat} for chat in chats),
        *(said(task, text) for text in texts),
        *(with_inputs(task, {task.ask: value}) for value in values),
        *(with_inputs(task, {name: 1}) for name in ("", "self", "other", "x" * 100_000)),
        *({"model": task.name, "inputs": given} for given in (["q"], "q", 7)),
        said(task, "q", max_tokens=10**30),
        said(task, "q", stop=[""]),
    ]
    for body in bodies:
        reply = house.post(body)
        assert reply.status_code == 400, (str(body)[:200], reply.text)
        assert reply.json()["error"].keys() == {"message", "type", "param", "code"}
        assert reply.json()["error"]["type"] == "invalid_request_error" and len(reply.content) < 1_000
    assert len(house.student.asked) == asked


@pytest.mark.parametrize("history", ["x", 7, [1], {"question": "q"}])
def test_past_turns_that_are_none_are_refused(house: House, history: Any) -> None:
    reply = house.post(with_inputs(TASKS["scripture_qa"], {"history": history}))
    assert reply.status_code == 400 and reply.json()["error"]["param"] == "inputs.history"


@pytest.mark.parametrize(
    "name", ["x" * 1_000_000, "a\n\x00b", "../../gsm8k", "gsm8k@", "gsm8k@\x00", "\u202egsm8k"]
)
def test_a_strange_name_is_no_model(house: House, name: str) -> None:
    reply = house.post({"model": name, "messages": [{"role": "user", "content": "q"}]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
    assert len(reply.content) < 1_000
