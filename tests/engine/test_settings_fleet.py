"""What `[engines.NAME.fleet]` and `[engines.NAME.timeouts]` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import EngineSettings, read_settings
from engine.settings_fleet import FleetSettings, TimeoutSettings

LAB = "[students.default]\nengine = 'lab'\n[engines.lab]\n"
TWO = LAB + "urls = ['http://10.0.0.5:8000', 'http://10.0.0.6:8000']\n"


def engine(folder: Path, text: str) -> EngineSettings:
    file = folder / "smallforge.toml"
    file.write_text(text)
    return read_settings(file).engines["lab"]


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        engine(folder, text)
    return "\n".join(caught.value.mistakes)


def test_a_fleet_and_its_timeouts_are_read(tmp_path: Path) -> None:
    fleet = "[engines.lab.fleet]\nmax_in_flight = 32\nqueue = 64\n[engines.lab.timeouts]\nconnect = 1\n"
    found = engine(tmp_path, TWO + fleet)
    assert found.fleet == FleetSettings(max_in_flight=32, queue=64)
    assert found.timeouts == TimeoutSettings(connect=1.0)


def test_without_a_table_engines_take_what_comes(tmp_path: Path) -> None:
    assert engine(tmp_path, TWO).fleet == FleetSettings() and FleetSettings().max_in_flight is None


def test_a_name_that_is_none_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    told = mistakes(tmp_path, TWO + "[engines.lab.fleet]\nretry = 1\n[engines.lab.timeouts]\ntotals = 9\n")
    assert "engines.lab.fleet.retry is no setting; did you mean 'retries'?" in told
    assert "engines.lab.timeouts.totals is no setting; did you mean 'total'?" in told


def test_a_queue_of_engines_that_are_never_full_is_a_mistake(tmp_path: Path) -> None:
    assert "engines.lab.fleet.queue: nothing waits" in mistakes(tmp_path, TWO + "fleet.queue = 4\n")


def test_a_url_stands_there_once(tmp_path: Path) -> None:
    assert "stands there twice" in mistakes(
        tmp_path, LAB + "urls = ['http://10.0.0.5', 'http://10.0.0.5/']\n"
    )


def test_what_is_no_server_has_neither(tmp_path: Path) -> None:
    told = mistakes(tmp_path, LAB + "fleet.retries = 1\ntimeouts.total = 9\n")
    assert "engines.lab.fleet: only a server" in told and "engines.lab.timeouts: only a server" in told
