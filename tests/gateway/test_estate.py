"""Tests for gateway/estate.py: real files of metrics, as workers leave them."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.estate import settle_estate


def leave(file: Path, **values: float) -> None:
    """A file with one series for each model, as a process of prometheus-client keeps it."""
    kept = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    for model, value in values.items():
        kept.write_value(mmap_key("seen", "seen_total", ["model"], [model], "Seen."), value, 0.0)  # type: ignore[no-untyped-call]
    kept.close()  # type: ignore[no-untyped-call]


def total(folder: Path, model: str) -> float | None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry.get_sample_value("seen_total", {"model": model})


def test_counts_of_ended_workers_stay_in_the_sums_and_their_files_do_not_pile_up(tmp_path: Path) -> None:
    leave(tmp_path / "counter_1.db", quiz=1)
    for pid in range(2, 12):
        leave(tmp_path / f"counter_{pid}.db", quiz=3, gsm8k=0.5)
        settle_estate(tmp_path, pid)
    assert (total(tmp_path, "quiz"), total(tmp_path, "gsm8k")) == (31, 5)
    assert len([*tmp_path.iterdir()]) == 2


def test_what_an_ended_worker_was_at_is_forgotten(tmp_path: Path) -> None:
    leave(tmp_path / "gauge_livesum_7.db", quiz=2)
    (tmp_path / "counter_7.db").touch()
    settle_estate(tmp_path, 7)
    assert [*tmp_path.iterdir()] == []
