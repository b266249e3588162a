from __future__ import annotations

from pathlib import Path

import pytest

from examples.evidence import Build, newest_build
from programs.release import read_release


def test_the_contenders_come_with_their_scores_and_parts(evidence: Build) -> None:
    first, last = evidence.contenders[0], evidence.contenders[-1]
    assert (first.name, last.name) == ("zero-shot", "compiled")
    assert first.low < first.score == 0.5 < first.high and last.score == 1.0
    assert last.parts == {"exact_match(answer)": 1.0, "token_f1(answer)": 1.0}
    assert first.usd is None and first.unreadable == 0


def test_every_held_out_row_has_an_answer_of_each_contender(evidence: Build) -> None:
    for one in evidence.contenders:
        answers = [it for it in evidence.answers if it.contender == one.name]
        assert len(answers) == 40
        assert sum(it.score for it in answers) / 40 == pytest.approx(one.score)


def test_the_gain_is_that_of_the_scores(evidence: Build) -> None:
    assert evidence.gain.points == 0.5 and 0 < evidence.gain.low < 0.5 < evidence.gain.high
    assert evidence.gain.p < 0.05


def test_the_compiled_prompt_is_longer_by_its_demonstrations(evidence: Build) -> None:
    assert evidence.before.demonstrations == 0 < evidence.after.demonstrations
    assert evidence.before.instructions == evidence.after.instructions > 0
    assert "[assistant]" in evidence.prompt and "{question}" in evidence.prompt


def test_the_release_is_named_as_a_gateway_serves_it(evidence: Build, built: Path) -> None:
    program, _, version = evidence.release.partition("@")
    assert read_release(built / program / version).identity.program == "sums"


def test_a_program_without_a_build_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no build of 'sums' below"):
        newest_build("sums", tmp_path)
