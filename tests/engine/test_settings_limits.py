"""What `[limits]` may say, and what is told of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import read_settings
from engine.settings_limits import LimitSettings


def limits(folder: Path, text: str) -> dict[str, LimitSettings]:
    file = folder / "smallforge.toml"
    file.write_text(text)
    return dict(read_settings(file).limits)


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        limits(folder, text)
    return caught.value.mistakes


def test_without_a_table_nothing_is_limited(tmp_path: Path) -> None:
    assert limits(tmp_path, "") == {}


def test_a_model_has_the_limits_of_its_table(tmp_path: Path) -> None:
    text = '[limits."gsm8k"]\nrpm = 60\ntpm = 9000\nconcurrency = 4\nusd_per_day = 0.5\nusd_per_month = 9\n'
    assert limits(tmp_path, text) == {"gsm8k": LimitSettings(60, 9000, 4, 0.5, 9.0)}


def test_what_a_table_leaves_open_the_one_of_every_model_says(tmp_path: Path) -> None:
    found = limits(tmp_path, '[limits."*"]\nrpm = 60\nconcurrency = 4\n[limits.gsm8k]\nrpm = 600\n')
    assert found["gsm8k"] == LimitSettings(600, None, 4)
    assert found["*"] == LimitSettings(60, None, 4)


def test_every_mistake_is_told(tmp_path: Path) -> None:
    text = "[limits.gsm8k]\nrpm = 0\nusd_per_day = inf\nusd_per_week = 1\n"
    assert mistakes(tmp_path, text) == (
        "limits.gsm8k.rpm = 0: input should be greater than or equal to 1",
        "limits.gsm8k.usd_per_day = inf: input should be a finite number",
        "limits.gsm8k.usd_per_week is no setting; did you mean 'usd_per_day'?",
    )


def test_a_limit_is_of_a_program_and_limits_something(tmp_path: Path) -> None:
    assert mistakes(tmp_path, '[limits."gsm8k@candidate"]\nrpm = 1\n[limits."quiz"]\n') == (
        "limits.'gsm8k@candidate': a limit holds for all releases of a program; write limits.'gsm8k'",
        "limits.'quiz' limits nothing; known here: concurrency, rpm, tpm, usd_per_day, usd_per_month",
    )


def test_workers_need_a_place_where_they_count_together(tmp_path: Path) -> None:
    text = "[limits.gsm8k]\nrpm = 1\n[gateway]\nworkers = 4\n"
    assert mistakes(tmp_path, text) == (
        "limits: 4 workers can't count together without gateway.redis; name a Redis, or set "
        "gateway.workers = 1",
    )
    assert limits(tmp_path, text + "redis = 'redis://127.0.0.1:6379/0'\n")


def test_an_address_that_may_hold_a_password_is_never_repeated(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "[gateway]\nredis = 'http://:hunter2@127.0.0.1'\n")
    assert "gateway.redis" in mistake and "hunter2" not in mistake
    (tmp_path / "smallforge.toml").write_text("[gateway]\nredis = 'redis://:hunter2@127.0.0.1'\n")
    assert "hunter2" not in repr(read_settings(tmp_path / "smallforge.toml"))
