from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dspy
import pytest

from compiler.candidate import PLAIN, Candidate
from compiler.errors import ProgramUnusable
from compiler.lowering import lower
from compiler.proof import lower_proven
from compiler.publication import Draft, alias_for, check_writable, draft_release, publish
from programs.aliases import read_aliases
from programs.errors import ReleaseNotWritten
from programs.module_state import load_state
from programs.release import read_release, verify_evidence
from tests.compiler.scripted import Adder, Bound, TwoSteps, chain, program, sums

FILES = {"build.json": b"{}"}


def draft(candidate: Candidate = PLAIN, make: Callable[[], dspy.Module] = chain) -> Draft:
    asked = program(make)
    lowered = lower_proven((asked, make()), candidate, None, sums(2), [])
    return draft_release(asked, make(), lowered, Bound(Adder()))


def test_a_release_binds_student_and_plan_and_reads_back(tmp_path: Path) -> None:
    drawn = draft()
    release = read_release(publish(tmp_path, drawn, "champion", "b1", FILES))
    assert release.identity == drawn.identity and release.plan == lower(chain(), program(), PLAIN, None)


def test_an_interpreted_release_holds_state_and_what_its_program_was(tmp_path: Path) -> None:
    shown = Candidate("c", {"first": [{"question": "1 + 1?", "reasoning": "1 and 1 make 2"}]})
    release = read_release(publish(tmp_path, draft(shown, TwoSteps), "champion", "b1", FILES))
    assert release.state is not None and release.identity.interpreted is not None
    assert len(load_state(TwoSteps(), release.state).predictors()[0].demos) == 1


def test_the_candidate_alias_moves_and_the_champion_stays(tmp_path: Path) -> None:
    first, second = draft(), draft(Candidate("told", {}, {"predict": "Add."}))
    publish(tmp_path, first, alias_for(tmp_path, first.identity), "b1", FILES)
    assert alias_for(tmp_path, second.identity) == "candidate"
    publish(tmp_path, second, "candidate", "b2", FILES)
    aliases = read_aliases(tmp_path / "sums")
    assert (aliases.champion, aliases.candidate) == (first.identity.version, second.identity.version)


def test_aliases_that_are_to_be_kept_are_only_set_where_there_are_none(tmp_path: Path) -> None:
    first, second = draft(), draft(Candidate("told", {}, {"predict": "Add."}))
    assert alias_for(tmp_path, first.identity, keep=True) == "champion"
    publish(tmp_path, first, "champion", "b1", FILES)
    assert alias_for(tmp_path, second.identity, keep=True) is None
    before = read_aliases(tmp_path / "sums")
    publish(tmp_path, second, None, "b2", FILES)
    assert read_aliases(tmp_path / "sums") == before
    assert len(list((tmp_path / "sums").glob("*/plan.json"))) == 2


def test_publishing_again_after_a_stop_only_completes_it(tmp_path: Path) -> None:
    home = publish(tmp_path, draft(), "candidate", "b1", FILES)
    assert publish(tmp_path, draft(), "champion", "b1", {"build.json": b"other"}) == home
    assert verify_evidence(home) == ["b1"] and read_aliases(home.parent).champion == home.name


def test_a_demonstration_that_json_cannot_hold_is_refused() -> None:
    strange = Candidate("c", {"first": [{"question": object(), "reasoning": "r"}]})
    with pytest.raises(ProgramUnusable, match="can't be kept as JSON"):
        draft(strange, TwoSteps)


def test_a_place_that_is_no_folder_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseNotWritten, match="is no folder"):
        check_writable(tmp_path / "file" / "releases")
    check_writable(tmp_path / "not" / "yet")
    assert not (tmp_path / "not").exists()


class Recalls(TwoSteps):
    """Two steps, of which the first one is given the past."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question, history: dspy.History -> reasoning")


def test_a_history_in_a_demonstration_is_kept_as_turns() -> None:
    turns = dspy.History(messages=[{"question": "before?", "answer": "yes"}])
    shown = Candidate("c", {"first": [{"question": "q", "history": turns, "reasoning": "r"}]})
    assert b"before?" in draft(shown, Recalls).body
