"""Tests for gateway/ladder.py: answers that can't be used are asked for again as the operator says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from programs.checks import is_one_of
from programs.plan import Field
from programs.program import Chat
from tests.gateway.access.issuing import where_keys_are
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import REPLY, Script, Upstream, running_upstream

ONLY_ANSWER: dict[str, Any] = {
    "outputs": (Field("answer"),),
    "chat": Chat(user="question", answer="answer"),
    "reminder": "Respond with `[[ ## answer ## ]]`.",
}
CHECKED = (is_one_of("answer", "forty-two"),)
WRONG = REPLY.replace("forty-two", "seven")
BY_TOKEN = "usd_per_million_input = 1000.0\nusd_per_million_output = 2000.0"
GARBLED = Script("I would say it is forty-two.")


class Climbed:
    """A gateway whose program `quiz` has a ladder, its student, and the teacher `big`."""

    def __init__(self, gateway: RunningGateway, student: Upstream, teacher: Upstream) -> None:
        self.gateway, self.student, self.teacher = gateway, student, teacher

    def ask(self, **more: Any) -> httpx.Response:
        body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}], **more}
        headers = {"x-smallforge-trace": "1"}
        return httpx.post(f"{self.gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)

    def counted(self, rung: str, result: str) -> float:
        return self.gateway.metric("gateway_escalations_total", model="quiz", rung=rung, result=result)


@contextmanager
def climbing(
    folder: Path,
    escalate: str,
    engine: str = "usd_per_hour = 0.36",
    teacher: str = BY_TOKEN,
    gateway: str = "",
    **plan: Any,
) -> Iterator[Climbed]:
    """`engine`, `teacher` and `gateway` are lines of their tables."""
    with running_upstream() as student, running_upstream() as big:
        put_release(folder / "releases", make_plan(**plan), fingerprint_of(student.url))
        price = f"""{engine}
        [programs.quiz]
        escalate = [{escalate}]
        [engines.lab]
        urls = ["{big.url}"]
        model = "tiny"
        kind = "openai"
        {teacher}
        [teachers.big]
        engine = "lab"
        """
        settings = settings_for(folder, student.url, price=price, gateway=gateway)
        with running_gateway(settings) as running:
            wait_until(lambda: httpx.get(f"{running.url}/readyz").json()["students"] == {})
            yield Climbed(running, student, big)


def test_without_a_failure_no_rung_is_taken(tmp_path: Path) -> None:
    with climbing(tmp_path, '"constrain", "retry", "teacher:big"') as one:
        answer = one.ask()
        assert answer.status_code == 200 and "x-smallforge-rung" not in answer.headers
        assert len(one.student.asked) == 1 and one.teacher.asked == []


def test_a_reply_that_cannot_be_read_is_asked_for_in_the_format(tmp_path: Path) -> None:
    with climbing(tmp_path, '"constrain", "retry"') as one:
        one.student.script = Script(GARBLED.text, then=Script())
        answer = one.ask()
        assert answer.json()["choices"][0]["message"]["content"] == "forty-two"
        assert answer.headers["x-smallforge-rung"] == answer.json()["smallforge"]["rung"] == "constrain"
        free, held = one.student.asked
        assert "structured_outputs" not in free and "regex" in held["structured_outputs"]
        assert one.counted("constrain", "answered") == 1
        labels = {"model": "quiz", "release": answer.headers["x-smallforge-release"].split("@")[1]}
        assert one.gateway.metric("gateway_parse_failures_total", **labels) == 0


def test_a_reply_that_is_asked_for_again_is_not_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number = {**ONLY_ANSWER, "outputs": (Field("answer", type="int"),)}
    reply = "[[ ## answer ## ]]\n%s\n\n[[ ## completed ## ]]\n"
    with caplog.at_level(logging.INFO), climbing(tmp_path, '"retry"', **number) as one:
        one.student.script = Script(reply % "CANARY", then=Script(reply % "42"))
        assert one.ask().headers["x-smallforge-rung"] == "retry"
    assert "asked again (retry): RunFailed" in caplog.text and "CANARY" not in caplog.text


def test_a_retry_says_it_otherwise_and_each_one_differently(tmp_path: Path) -> None:
    with climbing(tmp_path, '"retry", "retry"') as one:
        one.student.script = Script(GARBLED.text, then=Script(GARBLED.text, then=Script()))
        assert one.ask(seed=5).headers["x-smallforge-rung"] == "retry"
        said = [(body["temperature"], body["seed"]) for body in one.student.asked]
        assert said == [(0.0, 5), (0.7, 6), (0.7, 7)]
        assert (one.counted("retry", "failed"), one.counted("retry", "answered")) == (1, 1)


def test_the_teacher_answers_where_the_student_can_not_and_all_tries_are_paid(tmp_path: Path) -> None:
    with climbing(tmp_path, '"constrain", "retry", "teacher:big"', checks=CHECKED, check_retries=0) as one:
        one.student.script = Script(WRONG)
        answer = one.ask().json()
        steps = answer["smallforge"]["steps"]
        assert [step.get("rung") for step in steps] == [None, "constrain", "retry", "teacher:big"]
        assert answer["smallforge"]["cost_usd"] == sum(step["cost_usd"] for step in steps)
        paid = steps[-1]["usage"]
        tokens = paid["prompt_tokens"] / 1000, paid["completion_tokens"] / 500
        assert abs(steps[-1]["cost_usd"] - sum(tokens)) < 1e-9
        assert answer["usage"]["completion_tokens"] == sum(s["usage"]["completion_tokens"] for s in steps)
        assert "structured_outputs" not in one.teacher.asked[0]
        assert one.counted("teacher:big", "answered") == 1 and one.counted("constrain", "failed") == 1


def test_a_teacher_without_a_price_is_not_asked_on_a_budget(tmp_path: Path) -> None:
    budget = f"{where_keys_are(tmp_path)}\n[limits.quiz]\nusd_per_day = 1.0"
    with climbing(tmp_path, '"teacher:big"', teacher="", gateway=budget) as one:
        one.student.script = GARBLED
        assert one.ask().status_code == 502 and one.teacher.asked == []
        assert one.counted("teacher:big", "skipped") == 1


def test_what_no_rung_can_mend_fails_as_the_answer_did(tmp_path: Path) -> None:
    with climbing(tmp_path, '"retry", "teacher:big"') as one:
        one.student.script = GARBLED
        one.teacher.script = Script(status=500)
        answer = one.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "program_output_invalid")
        assert "x-smallforge-rung" not in answer.headers and len(one.student.asked) == 2
        assert (one.counted("retry", "failed"), one.counted("teacher:big", "error")) == (1, 1)


def test_a_rung_that_an_engine_has_not_is_skipped(tmp_path: Path) -> None:
    with climbing(tmp_path, '"constrain", "retry"', 'kind = "openai"\nusd_per_hour = 0.36') as one:
        one.student.script = Script(GARBLED.text, then=Script())
        assert one.ask().headers["x-smallforge-rung"] == "retry"
        assert one.counted("constrain", "skipped") == 1


def test_a_failed_engine_is_no_failed_answer(tmp_path: Path) -> None:
    with climbing(tmp_path, '"retry", "teacher:big"') as one:
        one.student.script = Script(status=500)
        assert one.ask().json()["error"]["code"] == "engine_failed"
        assert one.teacher.asked == [] and len(one.student.asked) == 1


def test_a_stream_climbs_as_long_as_nothing_was_shown(tmp_path: Path) -> None:
    with climbing(tmp_path, '"teacher:big"', **ONLY_ANSWER) as one:
        one.student.script = GARBLED
        one.teacher.script = Script("[[ ## answer ## ]]\nforty-two\n\n[[ ## completed ## ]]\n")
        answer = one.ask(stream=True)
        assert answer.headers["x-smallforge-rung"] == "teacher:big"
        assert '"rung":"teacher:big"' in answer.text and '"error"' not in answer.text
        assert one.counted("teacher:big", "answered") == 1


def test_a_stream_that_has_shown_something_does_not(tmp_path: Path) -> None:
    with climbing(tmp_path, '"teacher:big"') as one:
        one.student.script = Script("[[ ## reasoning ## ]]\nSix times seven.\n\nAnd so on.")
        answer = one.ask(stream=True)
        assert answer.status_code == 200 and "program_output_invalid" in answer.text
        assert one.teacher.asked == []


def test_no_rung_says_more_than_the_request_allows(tmp_path: Path) -> None:
    with climbing(tmp_path, '"retry"') as one:
        one.student.script = GARBLED
        assert one.ask(max_completion_tokens=len(GARBLED.text.split())).status_code == 502
        assert len(one.student.asked) == 1


def test_of_several_answers_only_those_that_failed_are_asked_for_again(tmp_path: Path) -> None:
    with climbing(tmp_path, '"teacher:big"') as one:
        one.student.script = Script(GARBLED.text, then=Script())
        answer = one.ask(n=2)
        assert [choice["message"]["content"] for choice in answer.json()["choices"]] == ["forty-two"] * 2
        assert (len(one.student.asked), len(one.teacher.asked)) == (2, 1)
        assert answer.headers["x-smallforge-rung"] == "teacher:big"
