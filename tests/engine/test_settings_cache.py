"""Tests for engine/settings_cache.py: whether and where answers are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import read_settings
from engine.settings_cache import CacheSettings


def read(folder: Path, cache: str, gateway: str = "") -> CacheSettings | None:
    file = folder / "smallforge.toml"
    file.write_text(f"[gateway]\n{gateway}\n{cache}")
    return read_settings(file).gateway.cache


def test_nothing_is_kept_unless_the_table_is_there(tmp_path: Path) -> None:
    assert read(tmp_path, "") is None
    assert read(tmp_path, '[gateway.cache]\nstore = "memory"') == CacheSettings("memory")


def test_all_of_it_can_be_said(tmp_path: Path) -> None:
    table = '[gateway.cache]\nstore = "sqlite"\nttl = 60\nmax_bytes = 1000\nfile = "c.db"\nkeep = "all"'
    assert read(tmp_path, table) == CacheSettings("sqlite", 60, 1000, "c.db", keep="all")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("ttl = 60", "gateway.cache.store is missing"),
        ('store = "disk"', "'memory', 'sqlite' or 'redis'"),
        ('store = "redis"', "needs gateway.redis"),
        ('store = "memory"\nttl = 0', "greater than 0"),
        ('store = "memory"\nmaxbytes = 5', "did you mean 'max_bytes'"),
        ('store = "sqlite"\nfile = "postgresql://db/x"', "is no file"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, table: str, told: str) -> None:
    with pytest.raises(SettingsInvalid, match=told):
        read(tmp_path, f"[gateway.cache]\n{table}")


def test_what_is_shared_by_all_keys_can_not_be_kept_apart_by_key_too(tmp_path: Path) -> None:
    table = '[gateway.cache]\nstore = "memory"\nshared = true'
    with pytest.raises(SettingsInvalid, match="cache_salt keeps keys apart; leave one of them out"):
        read(tmp_path, table, "cache_salt = true")
    assert read(tmp_path, table) == CacheSettings("memory", shared=True)


def test_redis_bounds_itself(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="maxmemory"):
        table = '[gateway.cache]\nstore = "redis"\nmax_bytes = 5'
        read(tmp_path, table, 'redis = "redis://127.0.0.1:1"')
