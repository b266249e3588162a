from __future__ import annotations

from pathlib import Path

import pytest

from deploy.student.score import main, misleading, plans, score
from programs.loading import load_program
from tests.programs.scripted import ScriptedModel


@pytest.mark.parametrize("name", ["arithmetic", "order_entry", "passage_qa"])
def test_rows_are_plain_random_and_misleading_before_there_is_a_release(name: str, tmp_path: Path) -> None:
    rows = plans(load_program(name), tmp_path)
    assert [row for row, _ in rows] == ["unoptimised", *(f"random {n}" for n in range(5)), "other convention"]
    assert len(rows[0][1].prefix) == 1
    assert all(len(plan.prefix) >= 1 + 2 * 4 for _, plan in rows[1:])


def test_misleading_demonstrations_are_no_house_lines() -> None:
    program = load_program("order_entry")
    house = {example.line for example in program.examples("train")}
    assert not house & {demo["line"] for demo in misleading(program)}


async def test_a_reply_that_is_cut_before_its_answer_scores_0(tmp_path: Path) -> None:
    program = load_program("arithmetic")
    (_, plain), *_ = plans(program, tmp_path)
    cut = ScriptedModel("[[ ## reasoning ## ]]\nFirst add", finish_reason="length")
    assert await score(program, plain, program.examples("test")[:2], cut) == ([0.0, 0.0], 2)


def test_an_engine_that_is_not_there_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teaching", "--url", "http://127.0.0.1:9"]) == 2
    told = capsys.readouterr().err
    assert told == "The engine at http://127.0.0.1:9 can't be reached: Connection refused.\n"
