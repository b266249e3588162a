from __future__ import annotations

from pathlib import Path

import pytest

from compiler.errors import StateNotWritten
from compiler.ledger import Ledger, RecordedReply, RecordedUsage, total


def reply(text: str = "said", usd: float | None = 0.5) -> RecordedReply:
    return RecordedReply(text, "", "stop", "m", RecordedUsage(10, 5, None, usd), usd, 0.1)


def test_what_was_recorded_is_found_after_reopening(tmp_path: Path) -> None:
    with Ledger(tmp_path / "deep" / "calls.sqlite") as ledger:
        ledger.record("key", 0, reply())
    with Ledger(tmp_path / "deep" / "calls.sqlite") as ledger:
        assert ledger.find("key", 0) == reply()
        assert ledger.find("key", 1) is None


def test_totals_count_every_call_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        for occurrence in (0, 1, 1):
            ledger.record("key", occurrence, reply())
        totals = total(ledger.totals().values())
    assert (totals.calls, totals.prompt_tokens, totals.completion_tokens, totals.usd) == (2, 20, 10, 1.0)


def test_one_unknown_cost_makes_the_sum_unknown(tmp_path: Path) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        ledger.record("a", 0, reply())
        ledger.record("b", 0, reply(usd=None))
        assert total(ledger.totals().values()).usd is None


def test_an_engine_that_does_not_count_tokens_leaves_them_unknown(tmp_path: Path) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        ledger.record("a", 0, RecordedReply("t", "", "stop", "m", None, None, 0.1))
        found = ledger.find("a", 0)
    assert found is not None and found.usage is None


def test_texts_are_the_different_replies(tmp_path: Path) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        for number, text in enumerate(["a", "b", "a", "c"]):
            ledger.record(str(number), 0, reply(text))
        assert sorted(ledger.texts(10)) == ["a", "b", "c"] and len(ledger.texts(2)) == 2


def test_a_disk_that_refuses_is_one_clean_sentence(tmp_path: Path) -> None:
    (tmp_path / "builds").write_text("a file where a folder should be")
    with pytest.raises(StateNotWritten, match="can't keep the build's calls") as caught:
        Ledger(tmp_path / "builds" / "calls.sqlite")
    assert caught.value.exit_code == 2


def test_a_full_disk_is_one_clean_sentence(tmp_path: Path, small_files: None) -> None:
    with (
        Ledger(tmp_path / "calls.sqlite") as ledger,
        pytest.raises(StateNotWritten, match="free some space") as caught,
    ):
        for number in range(200):
            ledger.record(str(number), 0, reply("x" * 4000))
    assert "\n" not in str(caught.value)
