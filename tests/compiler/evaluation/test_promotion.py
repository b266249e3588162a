from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.errors import PromotionRefused
from compiler.evaluation.promotion import Terms, judge
from engine.settings import GuardSettings
from programs.errors import ReleaseInvalid
from programs.release import add_evidence

OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
TERMS = Terms(GuardSettings())


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of a champion and of a candidate, without evidence."""
    folders = tmp_path / "sums" / OLD, tmp_path / "sums" / NEW
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def lines(
    program: str, scores: Sequence[float], first: int = 0, faults: Sequence[str | None] = (), **more: Any
) -> bytes:
    rows = []
    for index, score in enumerate(scores):
        fault = faults[index] if faults else None
        row = {"id": index, "example": f"key {first + index}", "program": program, "score": score}
        rows.append(json.dumps({**row, "fault": fault, "usd": 0.001, "seconds": 0.5, **more}) + "\n")
    return "".join(rows).encode()


def built(
    home: Path, after: bytes, champion: bytes = b"", release: str = f"sums@{OLD}", at: str = "1"
) -> None:
    contenders = [{"name": "champion", "release": release}] if champion else []
    told = json.dumps({"at": at, "contenders": contenders}).encode()
    before = lines("before", [1.0] * 40)
    add_evidence(home, f"2026-{at}", {"build.json": told, "scorecard.jsonl": before + champion + after})


def evaluated(home: Path, name: str, rows: bytes, at: str = "1", own: bool = True) -> None:
    told = json.dumps({"at": at, "own_student": own}).encode()
    add_evidence(home, name, {"evaluation.json": told, "scorecard.jsonl": rows})


def refusal(pair: tuple[Path, Path], terms: Terms = TERMS) -> str:
    with pytest.raises(PromotionRefused) as caught:
        judge(*pair, terms)
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)
    return str(caught.value)


HALF, ALL = [1.0, 0.0] * 20, [1.0] * 40


def test_a_release_that_is_better_than_the_champion_in_its_own_build_may_be_promoted(
    pair: tuple[Path, Path],
) -> None:
    built(pair[1], lines("after", ALL), lines("champion", HALF))
    told = judge(*pair, TERMS)
    assert told.startswith(
        "100.0 % against 50.0 % on the same 40 rows, 20 better and 0 worse, one-sided p 0.00"
    )
    assert "McNemar's exact test" in told


def test_one_that_is_only_luckier_is_refused_with_the_numbers(pair: tuple[Path, Path]) -> None:
    built(pair[1], lines("after", [1.0] * 3 + HALF[3:]), lines("champion", HALF))
    told = refusal(pair)
    assert (
        f"sums@{NEW} is not promoted: not better than the champion sums@{OLD}: 52.5 % against 50.0 %" in told
    )
    assert "one-sided p 0.5000 (McNemar's exact test), at most 0.05 allowed" in told and "--force" in told
    assert judge(*pair, Terms(GuardSettings(), confidence=0.5))


def test_the_confidence_is_kept_on_one_side(pair: tuple[Path, Path]) -> None:
    built(pair[1], lines("after", [*[1.0] * 9, *HALF[9:31], *[1.0] * 9]), lines("champion", HALF))
    told = judge(*pair, TERMS)  # 9 better, 0 worse: 1/512 on one side
    assert "9 better and 0 worse, one-sided p 0.0020" in told
    assert "at most 0.001 allowed" in refusal(pair, Terms(GuardSettings(), confidence=0.999))


def test_a_worse_release_is_refused(pair: tuple[Path, Path]) -> None:
    built(pair[1], lines("after", HALF), lines("champion", ALL))
    assert "0 better and 20 worse, one-sided p 1.0000" in refusal(pair)


def test_without_rows_in_common_the_command_to_run_is_told(pair: tuple[Path, Path]) -> None:
    built(pair[0], lines("after", HALF))
    built(pair[1], lines("after", ALL, first=7))
    assert refusal(pair).endswith(f"compare them with: compiler compare sums@{OLD} sums@{NEW}")


def test_builds_that_measured_the_same_rows_apart_are_compared(pair: tuple[Path, Path]) -> None:
    built(pair[0], lines("after", HALF))
    built(pair[1], lines("after", ALL))
    assert "on the same 40 rows" in judge(*pair, TERMS)


def test_a_comparison_is_preferred_and_another_champions_rows_are_not_used(pair: tuple[Path, Path]) -> None:
    built(pair[0], lines("after", ALL), at="1")
    built(pair[1], lines("after", ALL), lines("champion", ALL), release="sums@cccccccccccc", at="9")
    assert "one-sided p 1.0000" in refusal(pair)
    for home, side, scores in ((pair[0], "a", HALF), (pair[1], "b", ALL)):
        evaluated(home, f"compare-1-{side}", lines("release", scores, first=100))
    assert "100.0 % against 50.0 %" in judge(*pair, TERMS)


def test_what_was_measured_on_another_student_counts_for_nothing(pair: tuple[Path, Path]) -> None:
    for home, own in ((pair[0], True), (pair[1], False)):
        evaluated(home, "compare-1", lines("release", ALL), own=own)
    assert "no rows were measured with both" in refusal(pair)


@pytest.mark.parametrize(("unreadable", "allowed"), [(1, False), (0, True)])
def test_more_unparseable_replies_are_refused_though_the_score_is_better(
    pair: tuple[Path, Path], unreadable: int, allowed: bool
) -> None:
    faults: list[str | None] = [None] * (40 - unreadable) + ["unparseable"] * unreadable
    built(pair[1], lines("after", ALL, faults=faults), lines("champion", HALF))
    if allowed:
        assert judge(*pair, TERMS)
        return
    assert "unparseable replies rise from 0.0 to 2.5 %, at most 1 points more are allowed" in refusal(pair)
    assert judge(*pair, Terms(GuardSettings(max_unparseable_increase=0.03)))


@pytest.mark.parametrize(
    ("guards", "more", "sentence"),
    [
        (GuardSettings(), {"usd": 9.0, "seconds": 9.0}, None),
        (GuardSettings(max_cost_increase=0.1), {"usd": 0.0011}, None),
        (
            GuardSettings(max_cost_increase=0.1),
            {"usd": 0.0012},
            "the cost of an answer rises by 20.0 % from 0.001 to 0.0012 USD, at most 10 % more are allowed",
        ),
        (
            GuardSettings(max_cost_increase=0.1),
            {"usd": None},
            "the cost of an answer is unknown, and a guard allows it to rise by at most 10 %",
        ),
        (GuardSettings(max_cost_increase=0.1), {"usd": None, "fault": "too_long"}, "is unknown"),
        (
            GuardSettings(max_latency_increase=0.5),
            {"seconds": 1.0},
            "the median latency rises by 100.0 % from 0.5 to 1 s, at most 50 % more are allowed",
        ),
        (GuardSettings(max_latency_increase=0.5), {"seconds": 0.7}, None),
    ],
    ids=["undeclared", "cost kept", "cost", "no price", "nothing asked", "latency", "latency kept"],
)
def test_declared_guards_refuse_what_is_dearer_or_slower(
    pair: tuple[Path, Path], guards: GuardSettings, more: dict[str, Any], sentence: str | None
) -> None:
    built(pair[1], lines("after", ALL, **more), lines("champion", HALF))
    if sentence is None:
        assert judge(*pair, Terms(guards))
    else:
        assert sentence in refusal(pair, Terms(guards))


def test_graded_scores_are_tested_too(pair: tuple[Path, Path]) -> None:
    rng = np.random.default_rng(0)
    before = [float(score) for score in rng.uniform(0.2, 0.8, 40)]
    better = [score + float(more) for score, more in zip(before, rng.uniform(-0.05, 0.15, 40), strict=True)]
    built(pair[1], lines("after", better), lines("champion", before))
    assert "sign-flip permutation test" in judge(*pair, TERMS)


def test_changed_evidence_is_no_ground_for_a_promotion(pair: tuple[Path, Path]) -> None:
    built(pair[1], lines("after", ALL), lines("champion", HALF))
    next(pair[1].glob("evidence/*/scorecard.jsonl")).write_bytes(lines("after", ALL))
    with pytest.raises(ReleaseInvalid, match="changed"):
        judge(*pair, TERMS)


def test_evidence_that_cannot_be_read_is_one_sentence(pair: tuple[Path, Path]) -> None:
    add_evidence(pair[1], "2026", {"build.json": b"{}", "scorecard.jsonl": b"no json\n"})
    with pytest.raises(ReleaseInvalid, match=r"the evidence '.*2026' can't be read"):
        judge(*pair, TERMS)


def test_a_release_no_better_than_its_champion_is_seldom_promoted(pair: tuple[Path, Path]) -> None:
    rng = np.random.default_rng(7)
    passed = 0
    for draw in range(60):
        one, other = pair[0].parent / f"{draw:012x}", pair[0].parent / f"{draw + 999:012x}"
        for home, side in ((one, "a"), (other, "b")):
            home.mkdir(exist_ok=True)
            scores = [float(x) for x in rng.random(40) < 0.6]
            evaluated(home, f"compare-{draw}-{side}", lines("release", scores))
        try:
            judge(one, other, TERMS)
            passed += 1
        except PromotionRefused:
            continue
    assert passed <= 6
