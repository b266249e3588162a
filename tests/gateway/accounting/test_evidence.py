"""Tests for gateway/accounting/evidence.py."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.accounting.evidence import Measured, Score, read_measured

SCORES = {"after": {"mean": 0.9, "low": 0.8, "high": 0.95, "n": 120, "usd_per_answer": 3e-7}}


def teacher_usd_per_answer(release: Path) -> float | None:
    return read_measured(release).teacher_usd_per_answer


def _build(release: Path, name: str, record: Any, age: int = 0) -> Path:
    folder = release / "evidence" / name
    folder.mkdir(parents=True)
    data = orjson.dumps(record)
    (folder / "build.json").write_bytes(data)
    (folder / "digests.json").write_bytes(orjson.dumps({"build.json": hashlib.sha256(data).hexdigest()}))
    os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    return folder


def test_the_teacher_costs_what_the_build_measured(tmp_path: Path) -> None:
    _build(tmp_path, "b1", {"teacher": {"usd_per_answer": 0.002}})
    assert teacher_usd_per_answer(tmp_path) == 0.002


def test_what_the_teacher_took_on_the_test_examples_is_preferred(tmp_path: Path) -> None:
    tested = [
        {"name": "zero-shot", "summary": {"usd_per_answer": 0.5}},
        {"name": "teacher", "summary": {"usd_per_answer": 0.003}},
    ]
    _build(tmp_path, "b1", {"teacher": {"usd_per_answer": 0.002}, "contenders": tested})
    assert teacher_usd_per_answer(tmp_path) == 0.003
    unpriced = [{"name": "teacher", "summary": {"usd_per_answer": None}}, "strange"]
    _build(tmp_path, "b2", {"teacher": {"usd_per_answer": 0.004}, "contenders": unpriced}, age=-5)
    assert teacher_usd_per_answer(tmp_path) == 0.004


def test_the_newest_build_that_scored_a_teacher_counts(tmp_path: Path) -> None:
    _build(tmp_path, "a", {"teacher": {"usd_per_answer": 0.1}}, age=10)
    _build(tmp_path, "b", {"teacher": {"usd_per_answer": 0.2}}, age=5)
    _build(tmp_path, "c", {"teacher": None})
    assert teacher_usd_per_answer(tmp_path) == 0.2


@pytest.mark.parametrize(
    "record",
    [{}, {"teacher": {}}, {"teacher": {"usd_per_answer": None}}, {"teacher": {"usd_per_answer": -1}}, []],
)
def test_without_a_scored_teacher_nothing_is_known(tmp_path: Path, record: Any) -> None:
    _build(tmp_path, "b1", record)
    assert teacher_usd_per_answer(tmp_path) is None


def test_evidence_that_was_changed_is_not_used(tmp_path: Path) -> None:
    folder = _build(tmp_path, "b1", {"teacher": {"usd_per_answer": 0.002}})
    (folder / "build.json").write_bytes(orjson.dumps({"teacher": {"usd_per_answer": 9.0}}))
    assert teacher_usd_per_answer(tmp_path) is None


def test_a_release_without_evidence_has_no_teacher(tmp_path: Path) -> None:
    assert teacher_usd_per_answer(tmp_path) is None


def test_evidence_of_an_evaluation_is_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _build(tmp_path, "b1", {"teacher": {"usd_per_answer": 0.002}}, age=9)
    (tmp_path / "evidence" / "evaluate-1").mkdir()
    assert teacher_usd_per_answer(tmp_path) == 0.002 and caplog.records == []


def test_the_newest_build_that_scored_the_release_counts(tmp_path: Path) -> None:
    before = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 120}
    _build(tmp_path, "a", {"scores": {**SCORES, "before": before}}, age=10)
    _build(tmp_path, "b", {"scores": {"after": {**SCORES["after"], "mean": 0.92, "usd_per_answer": None}}})
    _build(tmp_path, "c", {"scores": None})
    assert read_measured(tmp_path) == Measured(
        score=Score(0.92, 0.8, 0.95, 120), unoptimised=Score(0.5, 0.4, 0.6, 120), usd_per_answer=3e-7
    )


@pytest.mark.parametrize(
    "after", [None, {}, {"mean": 0.9}, {**SCORES["after"], "n": 0}, {**SCORES["after"], "low": "0.8"}]
)
def test_a_score_that_is_not_whole_is_none(tmp_path: Path, after: Any) -> None:
    _build(tmp_path, "b1", {"scores": {"after": after}})
    assert read_measured(tmp_path).score is None
