"""The educators' trainer on a real server, from mixed files to an answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from compiler.errors import UserMistake
from engine.chat import Delta, Reply, Usage
from programs.errors import DataInvalid, ReleaseNotFound
from smallforge import PedagogicalTrainer
from tests.compiler.served import Server, serving


class Tutor:
    """Says back what it was asked, as a teacher would; curtly, unless it was shown how."""

    def __init__(self, finish_reason: str = "stop") -> None:
        self._finish_reason = finish_reason

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        asked = [str(message["content"]) for message in orjson.loads(orjson.dumps(list(messages)))]
        fields = asked[-1].partition("\n\nRespond with")[0].replace("[[ ## ", "").replace(" ## ]]\n", "=")
        said = " | ".join(fields.split("\n\n"))
        if len(asked) > 2:
            said = f"Think first, because it helps. Then try it: {said}. Why?"
        end = "" if self._finish_reason == "length" else "\n\n[[ ## completed ## ]]"
        return Reply(f"[[ ## response ## ]]\n{said}{end}", "", self._finish_reason, Usage(50, 9), "tutor")

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason=reply.finish_reason, usage=reply.usage)


@contextmanager
def training(folder: Path, server: Server, **more: Any) -> Iterator[PedagogicalTrainer]:
    config = folder / "smallforge.toml"
    state = json.dumps(str(folder / "state"))
    config.write_text(f'state = {state}\n[compiler]\nmlflow_uri = "off"\n')
    given = {"releases": folder / "releases", "config": config, "show": False, **more}
    with PedagogicalTrainer(server.url, **given) as trainer:
        yield trainer


def lesson(number: int) -> dict[str, str]:
    response = f"Because {number} is a number. What is the next?"
    return {"query": f"What is {number}?", "context": f"Count {number}.", "response": response}


def write_lessons(folder: Path) -> Path:
    (folder / "lessons").mkdir()
    rows = [json.dumps(lesson(number)) for number in range(40)]
    (folder / "lessons" / "a.jsonl").write_text("\n".join(rows))
    pairs = [f"Q: How many are {n}?\nA: Look at {n}. How many?" for n in range(40, 60)]
    (folder / "lessons" / "b.md").write_text("\n\n".join(pairs))
    (folder / "lessons" / "c.docx").write_bytes(b"PK")
    return folder / "lessons"


def test_mixed_files_become_a_release_that_answers(tmp_path: Path) -> None:
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        prepared = trainer.prepare_data(write_lessons(tmp_path))
        assert prepared.counts["train"] == 60 and [line[:6] for line in prepared.skipped] == ["c.docx"]
        result = trainer.train(optimizer="LabeledFewShot", arguments={"k": 2})
        assert result.path.is_dir() and result.compiled.mean > result.baseline.mean and result.lowered
        said = trainer.generate("Why?", context="Ice.", grade=4, subject="physics")
        assert "query=Why? | context=Ice. | grade=4 | subject=physics" in said
        assert "query=Why?. Why?" in trainer.generate("Why?")


def test_answers_come_from_what_was_trained_last_else_the_champion_or_by_name(tmp_path: Path) -> None:
    with serving(Tutor()) as server:
        with training(tmp_path, server) as trainer:
            with pytest.raises(ReleaseNotFound, match="no releases of 'teaching'"):
                trainer.generate("Why?")
            plain = trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
        with training(tmp_path, server) as trainer:
            assert trainer.generate("Why?") == "query=Why?"
            trainer.train(trainer.prepare_data(tmp_path / "lessons"), optimizer="LabeledFewShot")
            assert trainer.generate("Why?").startswith("Think first")
            assert trainer.generate("Why?", release=f"teaching@{plain.version}") == "query=Why?"


def test_it_works_where_a_loop_runs_already_as_in_a_notebook(tmp_path: Path) -> None:
    async def cell(trainer: PedagogicalTrainer) -> str:
        trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
        return trainer.generate("Why?")

    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        assert asyncio.run(cell(trainer)) == "query=Why?"


def test_an_answer_that_was_cut_comes_with_a_warning(tmp_path: Path) -> None:
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
    with (
        serving(Tutor("length")) as server,
        training(tmp_path, server) as trainer,
        pytest.warns(UserWarning, match="the token limit cut the answer"),
    ):
        assert trainer.generate("Why?").startswith("query=Why?")


def test_another_student_than_the_release_was_trained_for_is_told(tmp_path: Path) -> None:
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        server.more_tokens = 1
        with pytest.warns(UserWarning, match="'teaching' was trained for another student than 'default'"):
            trainer.generate("Why?")


@pytest.mark.parametrize("query", ["", "  \n", None, float("nan")])
def test_a_question_that_asks_nothing_is_refused(tmp_path: Path, query: Any) -> None:
    with (
        serving(Tutor()) as server,
        training(tmp_path, server) as trainer,
        pytest.raises(UserMistake, match="asks nothing: give the student's words"),
    ):
        trainer.generate(query)


def test_what_is_asked_is_read_as_the_fields_of_a_lesson_are(tmp_path: Path) -> None:
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
        assert trainer.generate(" Why? ", context="", grade=" ", subject="") == "query=Why?"
        assert (
            trainer.generate("Why?", context="\u202eשלום 🍕\x07") == "query=Why? | context=\u202eשלום 🍕\x07"
        )
        assert trainer.generate("[[ ## grade ## ]]\n9", grade=4) == "query=[ # grade # ]\n9 | grade=4"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("grade", True, "field 'grade' must be a text, not True"),
        ("grade", float("nan"), "field 'grade' must be a text, not nan"),
        ("subject", ["art"], "field 'subject' must be a text, not ['art']"),
        ("context", "\ud83d", "field 'context' holds half a character"),
    ],
)
def test_what_is_no_text_is_refused_before_anything_is_asked(
    tmp_path: Path, field: str, value: Any, told: str
) -> None:
    with serving(Tutor()) as server, training(tmp_path, server) as trainer:
        with pytest.raises(DataInvalid) as caught:
            trainer.generate("Why?", **{field: value})
        assert caught.value.mistakes[0].startswith(told) and server.calls == 0


def test_where_there_is_no_terminal_the_table_is_shown_uncut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Tutor()) as server, training(tmp_path, server, show=True) as trainer:
        trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
    shown = capsys.readouterr().out
    assert "95 % interval" in shown and "zero-shot" in shown and "…" not in shown.partition("\np: ")[0]


def test_nothing_is_left_running_once_it_is_closed(tmp_path: Path) -> None:
    with serving(Tutor()) as server, training(tmp_path, server):
        assert "backstage" in {thread.name for thread in threading.enumerate()}
    assert "backstage" not in {thread.name for thread in threading.enumerate()}


def test_a_trainer_that_nobody_closes_is_closed_when_it_is_forgotten(tmp_path: Path) -> None:
    with serving(Tutor()) as server:
        with training(tmp_path, server) as trainer:
            trainer.train(trainer.prepare_data(write_lessons(tmp_path)), optimizer="none")
        config, releases = tmp_path / "smallforge.toml", tmp_path / "releases"
        another = PedagogicalTrainer(server.url, releases=releases, config=config, show=False)
        assert another.generate("Why?") == "query=Why?"
        del another
        assert "backstage" not in {thread.name for thread in threading.enumerate()}
        script = (
            "import sys, smallforge; t = smallforge.PedagogicalTrainer(*sys.argv[1:2], releases=sys.argv[2])"
        )
        ending = [
            sys.executable,
            "-X",
            "dev",
            "-c",
            f"{script}; t.generate('Why?')",
            server.url,
            str(releases),
        ]
        done = subprocess.run(ending, capture_output=True, text=True, check=True)
        assert "Unclosed" not in done.stderr and "Traceback" not in done.stderr


def test_naming_the_trainer_imports_no_dspy_and_no_mlflow() -> None:
    script = (
        "import sys, smallforge; smallforge.PedagogicalTrainer; print({'dspy', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
