from __future__ import annotations

from pathlib import Path

import pytest

from deploy.student.score import misleading, plans
from programs.loading import load_program


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
