"""Tests for gateway/job.py: what a configuration that is read afresh can change."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engine.settings import read_settings
from gateway.job import GatewayJob


def test_what_can_not_change_while_it_runs_stays_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "smallforge.toml"
    file.write_text("[gateway]\nport = 8081\nworkers = 2\n")
    job = GatewayJob(read_settings(file), partial(read_settings, file), print)
    file.write_text('expose = ["large"]\n[gateway]\nport = 8082\nworkers = 3\nstrict = true\n')
    now = job.afresh().settings
    assert (now.gateway.port, now.gateway.workers, now.gateway.strict) == (8081, 2, True)
    assert now.expose == ("large",)
    assert "gateway.port, gateway.workers can't change while the gateway runs" in caplog.text
