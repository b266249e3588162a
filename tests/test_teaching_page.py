"""docs/teaching.md does what it says: its snippets run, on a real server and a real gateway."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import dspy
import pytest

from compiler.terminal import verdict
from programs.tasks.lesson_rows import lesson_of
from programs.tasks.pedagogy import ENOUGH_MARKERS, ENOUGH_TERMS, MOST_TERMS, teaching_score
from programs.tasks.teaching import LESSONS, as_examples, program
from tests.compiler.evaluation.test_second_opinion import Classroom
from tests.compiler.evaluation.test_second_opinion import run as build
from tests.compiler.served import Server, serving
from tests.compiler.test_educators import Tutor, write_lessons
from tests.gateway.serving import running_gateway, settings_for

PAGE = (Path(__file__).parent.parent / "docs" / "teaching.md").read_text()


def block(language: str, index: int = 0) -> str:
    return list[str](re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))[index]


def run(snippet: str, **addresses: str) -> list[str]:
    """What the snippet prints, its servers being these."""
    for port, url in addresses.items():
        assert f"http://127.0.0.1:{port[1:]}" in snippet
        snippet = snippet.replace(f"http://127.0.0.1:{port[1:]}", url)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(snippet, "teaching.md", "exec"), {})
    return out.getvalue().splitlines()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with contextlib.chdir(tmp_path), serving(Tutor()) as served:
        write_lessons(tmp_path).rename("my_lessons")
        Path("smallforge.toml").write_text('[compiler]\nmlflow_uri = "off"\n')
        yield served


def test_the_trainers_release_is_served_to_the_official_client(server: Server, tmp_path: Path) -> None:
    told = run(block("py"), p8100=server.url)
    assert told[0] == "60 lessons: 60 train" and told[1].startswith("skipped c.docx: can't be read")
    assert "grade=6 | subject=biology" in told[-1]
    server.name = "tiny"
    with running_gateway(settings_for(tmp_path, server.url)) as gateway:
        plain, whole = run(block("py", 1), p8080=gateway.url)
    assert (
        "context=Leaves contain chlorophyll, which reflects green light." in plain and "grade=" not in plain
    )
    assert "context=Leaves contain chlorophyll. | grade=6 | subject=biology" in whole


def test_the_row_of_the_page_is_a_lesson() -> None:
    lesson = lesson_of(json.loads(block("json")))
    assert lesson["context"] == "Problem: ...\nStudent solution: ...\nHistory: Teacher: Hi"


def test_the_score_is_the_one_that_the_page_describes() -> None:
    parts = {metric.name: weight for metric, weight in teaching_score("response", "context", "query").parts}  # type: ignore[attr-defined]
    told = re.findall(r"^\| (\d+) \| `(\w+\(\w+\))`", PAGE, re.MULTILINE)
    assert {name: int(weight) for weight, name in told} == parts
    assert (ENOUGH_TERMS, MOST_TERMS, ENOUGH_MARKERS) == (4, 12, 3)


async def test_both_verdicts_read_as_the_page_shows_them(tmp_path: Path) -> None:
    result, _ = await build(tmp_path, Classroom())
    shown = block("text", 1).splitlines()
    assert len(shown) == 4 and set(shown) <= set(verdict(result))


def test_the_lessons_have_the_score_that_the_page_tells() -> None:
    rows = [json.loads(line) for file in LESSONS.glob("*.jsonl") for line in file.read_text().splitlines()]
    scores = [
        program.metric(row, dspy.Prediction(response=row.response)) for row in as_examples(rows, "rows")
    ]
    assert f"their own answers have {sum(scores) / len(scores):.2f} by it" in PAGE


def test_the_gamed_answer_of_the_page_scores_as_it_says() -> None:
    context = "Chlorophyll absorbs red light. Chlorophyll reflects green light, and leaves look green."
    label = "Leaves look green because of chlorophyll."
    gamed, _, score = block("text").strip().rpartition("scores")
    example = dspy.Example(query="Why?", context=context, response=label)
    found = teaching_score("response", "context", "query")(example, dspy.Prediction(response=gamed.strip()))
    assert found == float(score)
