"""Tests for engine/settings_access.py: where keys are kept, and what a request may bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import Settings, read_settings


def read(folder: Path, gateway: str) -> Settings:
    file = folder / "smallforge.toml"
    file.write_text(f"[gateway]\n{gateway}")
    return read_settings(file)


def test_the_database_is_a_file_or_a_server(tmp_path: Path) -> None:
    assert read(tmp_path, "").gateway.database == "gateway.db"
    url = "postgresql://me:hunter2@db/gateway"
    settings = read(tmp_path, f'database = "{url}"')
    assert settings.gateway.database == url and "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("database", "told"), [("mysql://db/x", "'mysql' is no data"), (" ", "is empty")]
)
def test_another_database_is_refused(tmp_path: Path, database: str, told: str) -> None:
    with pytest.raises(SettingsInvalid, match=told):
        read(tmp_path, f'database = "{database}"')
