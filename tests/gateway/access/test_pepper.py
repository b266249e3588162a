"""Tests for gateway/access/pepper.py: keys without the secret they were made under."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.settings import read_settings
from gateway.access.opening import has_keys
from gateway.access.pepper import Pepper
from gateway.errors import StartFailed
from tests.gateway.access.issuing import issued, keys, where_keys_are


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}")
    issued(tmp_path, "frontend")
    return tmp_path


def start(house: Path) -> bool:
    return asyncio.run(has_keys(read_settings(house / "smallforge.toml").gateway))


def test_keys_are_found_again_under_their_pepper(house: Path) -> None:
    assert start(house)


def test_a_lost_pepper_ends_the_start_and_says_what_to_do(house: Path) -> None:
    (house / "gateway.pepper").unlink()
    with pytest.raises(StartFailed, match=r"pepper .* is gone, .* put the file back"):
        start(house)
    assert keys(house, "create", "another").exit_code == 2
    assert not (house / "gateway.pepper").exists(), "a new one would hide that the old one is lost"


def test_another_pepper_ends_the_start(house: Path) -> None:
    (house / "gateway.pepper").write_text("b" * 64)
    with pytest.raises(StartFailed, match="were made under another pepper than the file"):
        start(house)


def test_a_pepper_that_others_can_read_is_refused(house: Path) -> None:
    (house / "gateway.pepper").chmod(0o644)
    with pytest.raises(StartFailed, match="chmod 600"):
        start(house)


def test_a_pepper_in_the_settings_needs_no_file(tmp_path: Path) -> None:
    (tmp_path / "smallforge.toml").write_text(f'[gateway]\npepper = "{"p" * 40}"\n{where_keys_are(tmp_path)}')
    issued(tmp_path, "frontend")
    assert start(tmp_path) and not (tmp_path / "gateway.pepper").exists()


def test_a_pepper_is_made_once(tmp_path: Path) -> None:
    pepper = Pepper(tmp_path / "deep" / "pepper")
    assert pepper.read_or_make() == pepper.read_or_make() == pepper.read()
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["pepper"]
