from __future__ import annotations

from pathlib import Path

from compiler.candidate import PLAIN
from compiler.evaluation import contenders
from compiler.evaluation.answers import Answer
from compiler.ledger import RecordedUsage
from compiler.lengths import measure_lengths
from programs.execution import Step
from tests.compiler.test_room import Stand, shown


def answered(*tokens: int) -> list[Answer]:
    steps = [Step("4", "stop", RecordedUsage(prompt, 7, None, None)) for prompt in tokens]
    return [Answer(1.0, {}, (step,)) for step in steps]


async def test_the_parts_of_both_prompts_are_told(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 100_000)
    room = stand.bench.room
    assert room is not None
    system, whole = await room.size(PLAIN), await room.size(shown(2))
    assert system is not None and whole is not None
    plain, own = answered(system + 50, system + 70), answered(1, 2)
    tested = [contenders.Tested("zero-shot", plain), contenders.Tested("compiled", own)]
    lengths = await measure_lengths(room, shown(2), tested)
    assert lengths["before"].as_dict() == {
        "system": system,
        "demonstrations": (),
        "counting": "tokenizer",
        "request": {"mean": 60.0, "max": 70},
        "reply": 7.0,
    }
    assert len(lengths["after"].demonstrations) == 2
    assert sum(size or 0 for size in lengths["after"].demonstrations) == whole - system
    assert f"instructions {system}, 2 demonstrations of " in lengths["after"].describe()
    stand.ledger.close()


async def test_where_nobody_counts_the_lengths_are_unknown(tmp_path: Path) -> None:
    lengths = await measure_lengths(None, PLAIN, [contenders.Tested("zero-shot", [Answer(1.0)])] * 2)
    assert lengths["after"].describe() == (
        "instructions unknown, no demonstrations, request unknown, reply unknown"
    )
