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


@pytest.mark.parametrize(("database", "told"), [("mysql://db/x", "'mysql' is no data"), (" ", "is empty")])
def test_another_database_is_refused(tmp_path: Path, database: str, told: str) -> None:
    with pytest.raises(SettingsInvalid, match=told):
        read(tmp_path, f'database = "{database}"')


def test_a_request_may_bring_what_the_caps_say(tmp_path: Path) -> None:
    caps = read(tmp_path, "[gateway.caps]\nn = 2\nbody_bytes = 1000").gateway.caps
    assert (caps.n, caps.body_bytes, caps.messages) == (2, 1000, 2000)


def test_a_cap_that_nobody_knows_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsInvalid, match=r"gateway\.caps\.messages_ is no setting; did you mean 'messages'"
    ):
        read(tmp_path, "[gateway.caps]\nmessages_ = 2")


def test_a_short_pepper_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="fewer than 32 characters") as found:
        read(tmp_path, 'pepper = "hunter2"')
    assert "hunter2" not in str(found.value)


def test_no_secret_of_the_gateway_is_shown(tmp_path: Path) -> None:
    assert "0123456789" not in repr(read(tmp_path, f'pepper = "{"0123456789" * 4}"'))
