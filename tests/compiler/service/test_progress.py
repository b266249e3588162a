"""How far a build has come, by the events that it wrote so far."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.event_file import RunBegan, RunEnded, line_of
from compiler.events import (
    CandidateScored,
    Estimated,
    Event,
    Log,
    Scored,
    Spent,
    Stage,
    StageStarted,
)
from compiler.service.progress import EventReader, Progress


def after(folder: Path, *events: Event | RunBegan | RunEnded) -> Progress:
    path = folder / "events.jsonl"
    path.write_bytes(b"".join(line_of(event) for event in events))
    return EventReader(path).read_on()


def spent(calls: int) -> Spent:
    return Spent(calls, 0, 0, None, 0.0)


EXPECTED = Estimated(100, 1_000, 100, 10.0, None)


def test_a_search_is_followed_by_the_calls_that_were_foreseen(tmp_path: Path) -> None:
    progress = after(tmp_path, RunBegan(), EXPECTED, StageStarted("optimise"), spent(25))
    assert (progress.share, progress.stage) == (0.25, "Optimise")


def test_without_an_estimate_it_is_followed_by_its_stages(tmp_path: Path) -> None:
    progress = after(tmp_path, RunBegan(), StageStarted("optimise", 10), Scored("optimise", 5, 10))
    assert progress.share == pytest.approx(3.5 / 9)


@pytest.mark.parametrize("stage", ["lower", "score", "write"])
def test_what_follows_a_search_is_nearer_to_the_end_however_few_calls_it_took(
    tmp_path: Path, stage: Stage
) -> None:
    progress = after(tmp_path, RunBegan(), EXPECTED, spent(10), StageStarted(stage))
    assert 0.8 <= progress.share < 1


def test_a_resumed_run_begins_its_search_again_and_keeps_what_was_told(tmp_path: Path) -> None:
    tried = CandidateScored("first", 0.5, 10, True, False)
    progress = after(
        tmp_path, RunBegan(), EXPECTED, spent(25), tried, RunEnded(130, ("Interrupted.",)), RunBegan()
    )
    assert (progress.ended, progress.candidates) == (None, ())
    assert progress.estimated == EXPECTED and "Interrupted." in progress.log


def test_a_line_that_is_not_whole_is_read_when_it_is(tmp_path: Path) -> None:
    path, line = tmp_path / "events.jsonl", line_of(Log("all is well"))
    path.write_bytes(line_of(RunBegan()) + line[:20])
    reader = EventReader(path)
    assert reader.read_on().log == ()
    path.write_bytes(line_of(RunBegan()) + line)
    assert reader.read_on().log == ("  all is well",)


def test_lines_of_another_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b'{"event": "Sung", "at": "", "said": {}}\n{"event": "Log"}\nnothing\n' + line_of(Log("here"))
    )
    assert EventReader(path).read_on().log == ("  here",)
