"""Examples over the window of a real engine: they count as too long, score nothing and end no build."""

from __future__ import annotations

import bisect
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from compiler.candidate import PLAIN
from compiler.lowering import lower
from programs.plan import render
from programs.tasks.hotpotqa import as_example, program
from programs.tasks.hotpotqa_retrieval import as_example as as_question
from programs.tasks.hotpotqa_rows import sample_questions
from tests.integration.conftest import House, furnish

WINDOW = 8_192
WORDS = "word " * 20_000
MEGABYTE = "word " * 200_000
Row = dict[str, Any]


class Measured(NamedTuple):
    """A build with long rows in every part, and an evaluation of its release on the same test rows."""

    shown: str
    folder: Path
    evaluated: Mapping[str, Any]


def given(number: int, split: Any = "train") -> Row:
    return dict(as_example(sample_questions(split)[number]).items())


def searched(number: int, split: Any = "train") -> Row:
    return dict(as_question(sample_questions(split)[number]).items())


def tight_context(engine_url: str, question: str) -> str:
    """One whose prompt is over the window by a word or so."""
    plan = lower(program.make_module(), program, PLAIN, None)
    with urllib.request.urlopen(f"{engine_url}/v1/models") as listed:
        model = json.load(listed)["data"][0]["id"]

    def tokens(words: int) -> int:
        messages = render(plan, {"context": "word " * words, "question": question})
        body = {"model": model, "messages": [message.as_dict() for message in messages]}
        head = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{engine_url}/tokenize", json.dumps(body).encode(), head)
        with urllib.request.urlopen(asked) as counted:
            return int(json.load(counted)["count"])

    return "word " * bisect.bisect_left(range(2 * WINDOW), WINDOW + 1, key=tokens)


def rows_given(engine_url: str) -> dict[str, list[Row]]:
    """A context of a megabyte, and one that is barely too long."""
    tight = tight_context(engine_url, given(1, "test")["question"])
    train = [{**given(n), "context": WORDS} for n in range(8)] + [given(n) for n in range(8, 14)]
    test = [{**given(0, "test"), "context": MEGABYTE}, {**given(1, "test"), "context": tight}]
    return {"train": train, "dev": [given(n, "dev") for n in range(3)], "test": test}


def rows_searched() -> dict[str, list[Row]]:
    """Questions that are too long, and demonstrations that show as much of passages."""
    train = [{**searched(n), "found": WORDS, "context": WORDS} for n in range(8)]
    train += [searched(n) for n in range(8, 14)]
    test = [{**searched(n, "test"), "question": f"{text} {n}"} for n, text in enumerate((MEGABYTE, WORDS))]
    return {"train": train, "dev": [searched(n, "dev") for n in range(3)], "test": test}


def measured(house: House, task: str, rows: Mapping[str, list[Row]], more: list[Row]) -> Measured:
    folder = house.folder / task
    folder.mkdir()
    options = []
    for split, found in {**rows, "test": [*rows["test"], *more]}.items():
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in found))
        options += [f"--{'data' if split == 'train' else split}", str(path)]
    how = ["--optimizer", "LabeledFewShot", "--set", "k=3", "--mlflow-uri", "off"]
    shown = house.run("compiler", "build", task, *options, *how)
    told = house.run("compiler", "evaluate", task, "--data", str(folder / "test.jsonl"), "--json")
    evaluated: Mapping[str, Any] = json.loads(told[told.index("{\n") :])
    return Measured(shown, house.folder / "releases" / task, evaluated)


@pytest.fixture(scope="module", params=["hotpotqa", "hotpotqa_retrieval"])
def found(
    request: pytest.FixtureRequest, engine_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    house = furnish(tmp_path_factory.mktemp("long"), engine_url)
    if request.param == "hotpotqa":
        return measured(house, "hotpotqa", rows_given(engine_url), [given(n, "test") for n in range(2, 10)])
    return measured(house, "hotpotqa_retrieval", rows_searched(), [searched(n, "test") for n in range(2, 10)])


def test_a_build_counts_them_and_scores_them_nothing(found: Measured) -> None:
    (evidence,) = found.folder.rglob("build.json")
    told = json.loads(evidence.read_bytes())
    for scores in (told["scores"]["before"], told["scores"]["after"]):
        assert (scores["n"], scores["too_long"], scores["errors"], scores["refused"]) == (10, 2, 0, 0)
    lines = (evidence.parent / "scorecard.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        assert (row["fault"] == "too_long") == (row["id"] < 2) and (row["id"] >= 2 or row["score"] == 0.0)
    groups = {group["kind"]: group["count"] for group in told["analysis"]["groups"]}
    assert groups["prompt too long"] == 2 and "prompt too long" in found.shown


def test_the_report_tells_them(found: Measured) -> None:
    (report,) = found.folder.rglob("report.html")
    assert "prompt too long" in report.read_text() and report.stat().st_size < 1_500_000


def test_an_evaluation_counts_them_alike(found: Measured) -> None:
    scores = found.evaluated["scores"]
    assert (scores["n"], scores["too_long"], scores["errors"], scores["refused"]) == (10, 2, 0, 0)


def test_demonstrations_over_the_window_are_left_out(found: Measured) -> None:
    assert "labelled: of 3 demonstrations" in found.shown
    assert "fit the student's window of 8,192 tokens" in found.shown
