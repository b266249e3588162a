from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from compiler.errors import BuildMismatch, StateNotWritten
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


def filled(path: Path, calls: int = 400) -> None:
    """A ledger as a killed process leaves it: part of its rows lie in the write-ahead log only."""
    living = path.with_name("living.sqlite")
    with Ledger(living) as ledger:
        for number in range(calls):
            ledger.record(str(number), 0, long_reply(number))
        for end in ("", "-wal"):
            shutil.copy(f"{living}{end}", f"{path}{end}")


def long_reply(number: int) -> RecordedReply:
    return reply(f"{number} " * (3000 if number % 10 == 0 else 30), usd=float(number % 3))


def kept(path: Path, calls: int = 400) -> int:
    """How many calls are found again; each as it was recorded."""
    with Ledger(path) as ledger:
        found = [(number, ledger.find(str(number), 0)) for number in range(calls)]
    assert all(text == long_reply(number) for number, text in found if text is not None)
    return sum(text is not None for _, text in found)


def test_a_ledger_that_is_whole_is_left_as_it_is(tmp_path: Path) -> None:
    filled(tmp_path / "calls.sqlite")
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        assert ledger.notes == []
    assert kept(tmp_path / "calls.sqlite") == 400


@pytest.mark.parametrize("seed", range(8))
def test_of_a_ledger_with_flipped_bytes_all_that_is_readable_is_kept(tmp_path: Path, seed: int) -> None:
    path, rng = tmp_path / "calls.sqlite", random.Random(seed)
    filled(path)
    data = bytearray(path.read_bytes())
    for _ in range(8):
        data[rng.randrange(64, len(data))] ^= 1 << rng.randrange(8)
    data[:16] = bytes(16) if seed % 2 else data[:16]
    path.write_bytes(data)
    assert kept(path) > 300


def test_of_a_ledger_that_was_cut_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 100])
    with Ledger(path) as ledger:
        (note,) = ledger.notes
    assert "were damaged" in note and "'calls-damaged-1.sqlite'" in note
    assert (tmp_path / "calls-damaged-1.sqlite").stat().st_size == len(whole) // 2 + 100
    assert kept(path) > 150


def test_a_ledger_of_which_only_the_log_is_left_keeps_what_the_log_has(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    filled(path, 20)
    path.write_bytes(b"")
    assert kept(path, 20) == 20


def test_what_sqlite_leaves_out_of_a_damaged_log_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    filled(path, 100)
    log = path.with_name("calls.sqlite-wal")
    data = bytearray(log.read_bytes())
    data[40] ^= 1  # in the checksum of the first frame
    log.write_bytes(data)
    with Ledger(path) as ledger:
        (note,) = ledger.notes
    assert "100 calls in it could still be read" in note and kept(path, 100) == 100


def test_a_ledger_without_its_log_keeps_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    filled(path)
    (tmp_path / "calls.sqlite-wal").unlink()
    assert 0 < kept(path) < 400


def test_a_reply_that_is_not_what_was_written_counts_as_never_made(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with Ledger(path) as ledger:
        ledger.record("a", 0, reply("said"))
    path.write_bytes(path.read_bytes().replace(b"said", b"sold"))
    with Ledger(path) as ledger:
        assert ledger.find("a", 0) is None


def test_a_ledger_of_another_layout_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as rows:
        rows.execute("CREATE TABLE calls (key TEXT, occurrence INTEGER)")
    with pytest.raises(BuildMismatch, match=r"another version \(layout 0, this one has 2\)"):
        Ledger(tmp_path / "calls.sqlite")
