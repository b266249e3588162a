from __future__ import annotations

import time
from collections.abc import Sequence

from compiler.report.prompts import Compared, compare_prompts, token_parts


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


PLAIN = [message("system", "Add."), message("user", "{question}")]


def compare(before: Sequence[dict[str, str]], after: Sequence[dict[str, str]]) -> list[Compared]:
    return compare_prompts({"p": before}, {"p": after})["p"]


def test_demonstrations_are_added_between_instructions_and_request() -> None:
    shown = [PLAIN[0], message("user", "1 + 1"), message("assistant", "2"), PLAIN[1]]
    changes = [(one.change, one.title) for one in compare(PLAIN, shown)]
    assert changes == [
        ("same", "instructions"),
        ("added", "demonstration 1"),
        ("added", "demonstration 1"),
        ("same", "the request, with a hole for each input"),
    ]


def test_of_changed_instructions_the_words_are_marked() -> None:
    told = [message("system", "Add the numbers."), PLAIN[1]]
    (block,) = compare([message("system", "Add both numbers."), PLAIN[1]], told)[0].blocks
    assert [(piece.kind, piece.text) for piece in block.pieces] == [
        ("same", "Add "),
        ("gone", "both "),
        ("added", "the "),
        ("same", "numbers."),
    ]


def test_many_unchanged_lines_around_a_change_are_folded() -> None:
    lines = [f"line {number}\n" for number in range(30)]
    changed = [*lines[:15], "line new\n", *lines[16:]]
    (one, _) = compare(
        [message("system", "".join(lines)), PLAIN[1]], [message("system", "".join(changed)), PLAIN[1]]
    )
    assert [block.folded for block in one.blocks] == [13, 0, 0, 0, 12]
    assert "".join(
        piece.text for block in one.blocks for piece in block.pieces if piece.kind != "gone"
    ) == "".join(changed)


def test_a_demonstration_of_the_program_itself_that_is_dropped_is_told() -> None:
    own = [PLAIN[0], message("user", "1 + 1"), message("assistant", "2"), PLAIN[1]]
    assert [one.change for one in compare(own, PLAIN)] == ["same", "same", "gone", "gone"]


def test_turns_of_a_demonstration_with_a_past_are_called_turns() -> None:
    turns = [message("user", "a"), message("assistant", "b")] * 2
    prompts = compare_prompts({"p": PLAIN}, {"p": [PLAIN[0], *turns, PLAIN[1]]}, demonstrations=1)
    assert prompts["p"][3].title == "demonstrated turn 2"


def test_the_members_of_an_ensemble_are_compared_with_the_one_prompt_there_was() -> None:
    both = compare_prompts({"p": PLAIN}, {"p (member 1)": PLAIN, "p (member 2)": PLAIN})
    assert [one.change for messages in both.values() for one in messages] == ["same"] * 4


def test_texts_that_are_hard_to_compare_take_no_time() -> None:
    old, new = message("system", "\n" * 12_000), message("system", "a\n" * 6_000)
    begun = time.monotonic()
    compare([old, PLAIN[1]], [new, PLAIN[1]])
    assert time.monotonic() - begun < 1


def test_a_call_is_told_part_by_part() -> None:
    lengths = {"system": 42, "demonstrations": [81, 51], "request": {"mean": 52.1, "max": 96}, "reply": 6.0}
    assert [(part.title, part.tokens) for part in token_parts(lengths)] == [
        ("Instructions", 42),
        ("Demonstration 1", 81),
        ("Demonstration 2", 51),
        ("Request", 52.1),
        ("Reply", 6.0),
    ]


def test_where_a_part_was_not_counted_none_is_told() -> None:
    assert token_parts({"system": 42, "demonstrations": [None], "request": {"mean": 1}, "reply": 1}) == []
    assert token_parts({}) == []
