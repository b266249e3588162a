"""`compiler data generate`, and what its rows are for: a build on them, and a chat with its release."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from engine.chat import Delta, Reply, Usage
from programs.scripture import SAMPLE
from tests.compiler.served import Server, serving

GENERATE = ["data", "generate", "scripture_qa", "--out", "rows", "--tables", str(SAMPLE), "--seed", "7"]


class Concordance:
    """Looks words up in the Strong's lists of its prompt; knows no other kind of question."""

    async def complete(self, messages: Sequence[Any], params: Mapping[str, object]) -> Reply:
        asked = messages[-1]["content"]
        question = asked.rpartition("[[ ## question ## ]]")[2]
        words = re.findall(r'"(\w+)"', question)
        listed = re.findall(r'([HG]\d{4}) \S+ \((\w+)\) "(.*?)"', asked)
        found = next((f"{id} {term}" for id, term, gloss in listed if words and gloss in words[0]), "unknown")
        text = f"[[ ## reasoning ## ]]\nlooked up\n\n[[ ## answer ## ]]\n{found}\n\n[[ ## completed ## ]]"
        return Reply(text, "", "stop", Usage(len(asked) // 4, 9), "concordance")

    async def stream(self, messages: Sequence[Any], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason="stop", usage=reply.usage)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with contextlib.chdir(tmp_path), serving(Concordance()) as served:
        yield served


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments], input=typed)


def test_rows_are_written_for_every_split_and_the_same_again(server: Server) -> None:
    done = run(*GENERATE, "--examples", "30", "--conversation-pairs", "10")
    assert done.exit_code == 0 and "24 train, 8 dev, 8 test rows in rows" in done.stdout, done.output
    first = {path.name: path.read_bytes() for path in Path("rows").iterdir()}
    run(*GENERATE, "--examples", "30", "--conversation-pairs", "10")
    assert {path.name: path.read_bytes() for path in Path("rows").iterdir()} == first


def test_a_teacher_whose_questions_can_not_be_looked_up_leaves_ours(server: Server) -> None:
    done = run(*GENERATE, "--examples", "10", "--conversation-pairs", "0", "--teacher", server.url)
    assert "The teacher's 0 of 10 questions are kept." in done.stdout, done.output
    assert "dropped 10: it is no JSON object" in done.stdout
    assert len(Path("rows/train.jsonl").read_text().splitlines()) == 6


def test_more_questions_than_the_tables_hold_are_a_sentence(server: Server) -> None:
    done = run(*GENERATE, "--examples", "30000")
    assert done.exit_code == 2 and "name larger tables with --tables" in done.stderr


def test_rows_build_a_release_that_is_one_prompt_and_looks_verses_up(server: Server) -> None:
    run(*GENERATE, "--examples", "60", "--conversation-pairs", "10")
    files = [
        f"--{option}=rows/{name}.jsonl"
        for option, name in (("data", "train"), ("dev", "dev"), ("test", "test"))
    ]
    elsewhere = ["--student", server.url, "--tables", str(SAMPLE)]
    done = run("build", "scripture_qa", *files, "--optimizer", "none", "--mlflow-uri", "off", *elsewhere)
    assert done.exit_code == 0 and "Lowered to a plan" in done.stdout, done.output
    (evidence,) = Path("releases/scripture_qa").rglob("build.json")
    parts = json.loads(evidence.read_text())["scores"]["after"]["parts"]
    assert set(parts) >= {
        "accuracy",
        "theological_match_score",
        "key_term_accuracy",
        "cross_reference_recall",
    }
    question = 'What is the Hebrew word for "light" in Gen 1:3?\n'
    talk = run("chat", "scripture_qa", *elsewhere, typed=question)
    assert talk.exit_code == 0 and talk.stdout.strip() == "H0216 or", talk.output


def test_tables_that_are_not_there_are_a_sentence(server: Server) -> None:
    done = run("build", "scripture_qa", "--student", server.url, "--mlflow-uri", "off", "--tables", "none")
    assert done.exit_code == 2 and "compiler data fetch scripture" in done.stderr, done.output
