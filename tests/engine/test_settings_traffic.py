"""Tests for engine/settings_traffic.py: whether requests are kept, for how long, and without what."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import read_settings
from engine.settings_traffic import TrafficSettings


def read(folder: Path, text: str) -> TrafficSettings:
    file = folder / "smallforge.toml"
    file.write_text(text)
    return read_settings(file).gateway.traffic


def test_by_default_nothing_is_kept(tmp_path: Path) -> None:
    assert read(tmp_path, "") == TrafficSettings(log=False, retention_days=30.0, patterns={})


def test_the_operator_says_what_is_kept_and_for_how_long(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "[gateway.traffic]\nlog = true\nretention_days = 7\npatterns = { customer = 'C-\\d{6}' }",
    )
    assert found == TrafficSettings(True, 7.0, {"customer": r"C-\d{6}"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retention_days = 0", "gateway.traffic.retention_days = 0: input should be greater than 0"),
        ("logs = true", "gateway.traffic.logs is no setting; did you mean 'log'"),
        ("patterns = { 'A B' = 'x' }", "gateway.traffic.patterns: 'A B' is no word for what a pattern finds"),
    ],
)
def test_a_mistake_is_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        read(tmp_path, f"[gateway.traffic]\n{text}")
