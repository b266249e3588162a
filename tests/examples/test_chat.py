from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.chat import EXAMPLES
from smallforge import load_program
from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import Script, Upstream

SCRIPT = Path(__file__).parents[2] / "examples" / "chat.py"


def chat(url: str, *options: str, said: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a chat through a pipe."""
    command = [sys.executable, str(SCRIPT), *options, "--url", url]
    done = subprocess.run(command, input=said, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_an_answer_is_shown_with_its_reasoning_and_what_it_took(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    code, shown, errors = chat(gateway.url, "hotpotqa", said="What is it?\n")
    assert (code, errors) == (0, "")
    assert "Six times seven.\nforty-two\n" in shown
    for header in ("release: hotpotqa@", "cost-usd: ", "overhead-ms: "):
        assert f"x-smallforge-{header}" in shown


def test_the_next_question_brings_the_earlier_answer(gateway: RunningGateway, upstream: Upstream) -> None:
    assert chat(gateway.url, "hotpotqa", "--system", "A | b.", said="One?\n\nTwo?\n/quit\nThree?\n")[0] == 0
    assert len(upstream.asked) == 2
    last = [message["content"] for message in upstream.asked[1]["messages"]]
    assert "A | b." in last[-1] and "Two?" in last[-1]
    assert any("One?" in text for text in last[:-1]) and any("forty-two" in text for text in last[:-1])


def test_a_task_brings_what_its_example_is_about(gateway: RunningGateway, upstream: Upstream) -> None:
    _, shown, _ = chat(gateway.url, "hotpotqa", said="Where?\n")
    about = EXAMPLES["hotpotqa"][1]
    assert about is not None and about in shown
    assert about in upstream.asked[0]["messages"][-1]["content"]


def test_a_failed_answer_is_told_and_leaves_no_trace(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.reset(Script("nothing of the kind", then=Script()))
    code, shown, errors = chat(gateway.url, "hotpotqa", said="One?\nTwo?\n")
    assert code == 2 and "forty-two" in shown
    assert errors == (
        "The answer failed: The model's reply does not hold the program's outputs: "
        "the reply has no 'reasoning' and no 'answer'.\n"
    )
    assert "One?" not in str(upstream.asked[1])


def test_without_a_gateway_it_says_how_to_start_one() -> None:
    code, _, errors = chat("http://127.0.0.1:9", "gsm8k", said="One?\n")
    assert (code, errors) == (2, "No gateway answers at http://127.0.0.1:9; start one with: gateway serve\n")


def test_examples_are_of_bundled_programs_and_bring_system_text_where_it_is_taken() -> None:
    for name, (question, about) in EXAMPLES.items():
        chat = load_program(name).chat
        assert question.endswith("?")
        assert about is None or chat.system is not None
        assert about is not None or chat.system is None or chat.verses is not None
