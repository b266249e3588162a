from __future__ import annotations

from benchmarks.study_published import READ, WARNING, published_table, read_published
from programs import PROGRAMS

PUBLISHED = read_published()


def test_every_published_number_says_what_it_is_and_where_it_is_from() -> None:
    for row in PUBLISHED:
        assert row.task in PROGRAMS and 0 < row.number <= 100 and row.read in READ
        assert all((row.who, row.measure, row.setting, row.source))


def test_they_have_a_heading_a_warning_and_a_table_of_their_own() -> None:
    lines = list(published_table(PUBLISHED, ["hotpotqa"]))
    assert lines[0] == "### Published elsewhere" and WARNING in lines and "not comparable" in WARNING
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) == sum(row.task == "hotpotqa" for row in PUBLISHED) > 0
    assert all(line.startswith("| `hotpotqa` |") for line in rows)


def test_tasks_that_nobody_published_numbers_for_say_so() -> None:
    assert list(published_table(PUBLISHED, ["sums"]))[-1] == "No published numbers are kept for these tasks."
