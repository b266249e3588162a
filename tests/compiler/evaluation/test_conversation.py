from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from click.testing import CliRunner, Result

from compiler.candidate import PLAIN
from compiler.charge import PerToken, Unknown
from compiler.command import main
from compiler.evaluation.conversation import Conversation, Meter, Took
from compiler.lowering import executor
from engine.chat import Reply
from engine.errors import EngineServerError
from engine.prices import Price
from programs.errors import InputInvalid, ReplyUnparseable
from programs.execution import Model, Outcome
from programs.program import Chat, Program
from programs.reader import FieldDelta
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.test_command import SUMS, run
from tests.programs.scripted import ScriptedModel

HELD = "[[ ## answer ## ]]\nheld\n\n[[ ## completed ## ]]"


def talk(fields: str = "question -> answer", said: str | None = None, **chat: Any) -> Conversation:
    parts = Chat(**{"user": "question", "answer": "answer", **chat})
    asked = Program("task", lambda: dspy.Predict(fields), lambda _: [], lambda *_: 1.0, parts)
    return Conversation("task", executor(asked.make_module(), asked, PLAIN), said)


async def said(conversation: Conversation, text: str, model: Model) -> str:
    pieces = [piece async for piece in conversation.ask(text, Meter(model, Unknown()))]
    assert isinstance(pieces[-1], Outcome)
    return "".join(piece.text for piece in pieces if isinstance(piece, FieldDelta))


async def test_earlier_turns_are_given_until_they_are_reset() -> None:
    model = ScriptedModel(HELD)
    conversation = talk("history: dspy.History, question -> answer", history="history")
    assert await said(conversation, "first", model) == "held"
    await said(conversation, "second", model)
    await said(conversation, "third", model)
    contents = [message["content"] for message in model.asked[-1][1:]]
    assert len(contents) == 5 and "held" in contents[1]
    assert "first" in contents[0] and "second" in contents[2] and "third" in contents[4]
    conversation.reset()
    await said(conversation, "fourth", model)
    assert len(model.asked[-1]) == 2 and conversation.ignored is None


async def test_a_system_text_goes_to_its_input() -> None:
    model = ScriptedModel(HELD)
    await said(talk("context, question -> answer", "the passage", system="context"), "what?", model)
    assert "the passage" in model.asked[0][-1]["content"] and "what?" in model.asked[0][-1]["content"]


async def test_what_a_program_does_not_take_is_said_and_left_out() -> None:
    model = ScriptedModel(HELD)
    conversation = talk(said="be kind")
    assert conversation.ignored == "task takes no system text: --system is ignored."
    assert talk().ignored == "task takes no earlier turns: each text stands alone."
    await said(conversation, "a", model)
    await said(conversation, "b", model)
    assert len(model.asked[-1]) == 2 and "be kind" not in str(model.asked)


async def test_all_inputs_can_be_given_as_a_line_of_json() -> None:
    model = ScriptedModel(HELD)
    conversation = talk("context, question -> answer", system="context")
    await said(conversation, '{"context": "c1", "question": "q1"}', model)
    assert "c1" in model.asked[0][-1]["content"] and "{" not in model.asked[0][-1]["content"]
    with pytest.raises(InputInvalid, match="input 'context' is missing; /inputs says how to give it"):
        await said(conversation, '{"question": "q1"}', model)


async def test_a_program_with_one_text_never_parses_json() -> None:
    model = ScriptedModel(HELD)
    await said(talk(), '{"question": "q1"}', model)
    assert '{"question": "q1"}' in model.asked[0][-1]["content"]


async def test_a_text_that_is_no_value_of_its_input_is_told() -> None:
    with pytest.raises(InputInvalid, match="is the input 'question', which must be int"):
        await said(talk("question: int -> answer"), "many", ScriptedModel(HELD))


async def test_a_turn_that_failed_leaves_no_trace() -> None:
    model = ScriptedModel(["no markers", HELD])
    conversation = talk("history: dspy.History, question -> answer", history="history")
    with pytest.raises(ReplyUnparseable):
        await said(conversation, "first", model)
    await said(conversation, "second", model)
    assert "first" not in str(model.asked[-1])


def test_inputs_are_described_with_where_they_come_from() -> None:
    fields = "context, history: dspy.History, question -> answer"
    conversation = talk(fields, system="context", history="history")
    assert list(conversation.describe_inputs()) == [
        "context (str): --system",
        "history (history): the earlier turns, until /reset",
        "question (str): the text you type",
        'All at once, as a line of JSON: {"context": "...", "question": "..."}',
    ]


async def test_tokens_and_cost_of_a_turn_are_counted() -> None:
    price = Price(usd_per_million_input=1.0, usd_per_million_output=2.0)
    took = []
    for charge in (PerToken(price), Unknown()):
        meter = Meter(ScriptedModel(HELD), charge)
        assert [piece async for piece in talk().ask("a", meter)]
        took.append(meter.took())
    assert took[0].usd == pytest.approx(20e-6) and took[1] == Took(1, 10, 5, None)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        yield tmp_path


def chat(server: Server, typed: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["chat", "sums", "--student", server.url, *arguments], input=typed)


@pytest.fixture
def server(here: Path) -> Iterator[Server]:
    with serving(Adder()) as served:
        built = ["build", "./sums.py", "--student", served.url, "--mlflow-uri", "off", "--optimizer", "none"]
        done = run(*built)
        assert done.exit_code == 0, done.output
        yield served


def test_through_a_pipe_each_line_is_answered_on_standard_output(server: Server) -> None:
    done = chat(server, "What is 2 + 2?\n\nWhat is 5 + 7?\n")
    assert (done.exit_code, done.stdout) == (0, "4\n12\n"), done.output
    assert "2 and 2 make 4" in done.stderr and "each text stands alone" in done.stderr
    assert done.stderr.count("[1 call, 1") == 2 and "cost unknown]" in done.stderr


def test_commands_are_no_questions_and_quit_ends(server: Server) -> None:
    done = chat(server, "/inputs\n/reset\n/what\n/quit\nWhat is 2 + 2?\n", "--system", "be kind")
    assert (done.exit_code, done.stdout) == (0, "")
    for told in ("question (str): the text you type", "turns are forgotten", "There is no /what.", "ignored"):
        assert told in done.stderr


def test_an_answer_that_fails_is_told_and_the_next_line_is_asked(here: Path) -> None:
    with serving(Adder()) as server:
        assert run("build", "./sums.py", "--student", server.url, "--mlflow-uri", "off").exit_code == 0
    with serving(Adder(lambda total: "no markers" if total == 4 else None)) as server:
        done = chat(server, "What is 2 + 2?\nWhat is 2 + 4?\n")
    assert (done.exit_code, done.stdout) == (2, "6\n")
    assert "No answer: " in done.stderr and "Traceback" not in done.output


def test_an_engine_that_fails_ends_a_pipe_with_its_sentence(server: Server) -> None:
    class Broken(Adder):
        def _answer(self, messages: list[dict[str, str]]) -> Reply:
            raise EngineServerError("out of memory")

    with serving(Broken()) as broken:
        done = chat(broken, "What is 2 + 2?\nWhat is 2 + 4?\n")
    assert done.exit_code != 0 and done.stdout == "" and "out of memory" in done.stderr


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(server: Server) -> None:
    with serving(Adder(), keep_alive=1) as impatient:
        command = [sys.executable, "-m", "compiler", "chat", "sums", "--student", impatient.url]
        talking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert talking.stdin is not None and talking.stdout is not None
        for question, pause in (("What is 2 + 2?", 0.0), ("What is 5 + 7?", 1.3)):
            time.sleep(pause)
            talking.stdin.write(f"{question}\n")
            talking.stdin.flush()
            said = talking.stdout.readline()
        talking.stdin.close()
        talking.stdout.close()
        assert (talking.wait(timeout=20), said) == (0, "12\n")


def test_an_interpreted_release_answers_in_one_piece(here: Path) -> None:
    source = SUMS.replace(
        '    return dspy.ChainOfThought("question -> answer")',
        "    class Twice(dspy.Module):\n        def __init__(self):\n            super().__init__()\n"
        '            self.first = dspy.ChainOfThought("question -> answer")\n\n'
        "        async def aforward(self, question):\n"
        "            return await self.first.acall(question=question)\n\n    return Twice()",
    )
    Path("sums.py").write_text(source)
    with serving(Adder()) as server:
        build = ["build", "./sums.py", "--student", server.url, "--mlflow-uri", "off", "--optimizer", "none"]
        assert run(*build).exit_code == 0
        done = chat(server, "What is 2 + 2?\n", "--program", "./sums.py")
    assert (done.exit_code, done.stdout) == (0, "4\n"), done.output
