"""Tests for what the benchmarks stand on: percentiles, pages, and what processes take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.process_tree import Stat, family, read_stat, taken_by
from benchmarks.surroundings import BenchmarkFailed, percentile, write_between


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 0.99) == 7.0


def test_a_text_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- speed: begin -->\nold\n<!-- speed: end -->\nz\n")
    write_between(page, "speed", "new\n")
    assert page.read_text() == "a\n<!-- speed: begin -->\nnew\n<!-- speed: end -->\nz\n"
    with pytest.raises(BenchmarkFailed, match="other: begin"):
        write_between(page, "other", "new\n")


def test_a_process_may_have_any_name() -> None:
    fields = "S 7 " + " ".join(["0"] * 9) + " 30 12 3 1 20 0"
    assert read_stat(f"42 (a) b (c) {fields}") == Stat(42, 7, 46)


def test_a_family_has_children_and_their_children() -> None:
    stats = [Stat(1, 0, 0), Stat(5, 1, 0), Stat(6, 5, 0), Stat(7, 6, 0), Stat(8, 1, 0)]
    assert [stat.pid for stat in family(5, stats)] == [5, 6, 7]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells it there")
def test_what_a_child_holds_is_counted() -> None:
    held = "import sys; x = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone, together = taken_by(child.pid), taken_by(os.getpid())
        child.communicate()
    assert 64 < alone.pss_mib <= alone.rss_mib < together.rss_mib
    assert alone.cpu_seconds < together.cpu_seconds + 1
