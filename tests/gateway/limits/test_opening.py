"""Which place counts, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.commanded import surroundings

SCRIPT = """
import sys
from engine.settings import read_settings
from gateway.limits.opening import open_allowance
from gateway.metrics import Metrics
from gateway.stores.opening import Stores

settings = read_settings()
allowance = open_allowance(
    settings, Metrics(), Stores(settings.gateway.database), workers=1, with_keys=False
)
print(allowance is not None, sorted({"redis", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "False []"),
        ("[limits.quiz]\nrpm = 60\n", "True []"),
        ("[limits.quiz]\nusd_per_day = 1\n", "True ['sqlalchemy']"),
        ("[limits.quiz]\nusd_per_day = 1\n[gateway]\nredis = 'redis://127.0.0.1'\n", "True ['redis']"),
    ],
)
def test_only_what_counts_is_imported(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "smallforge.toml").write_text(lines)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=surroundings(), text=True, capture_output=True
    )
    assert done.stdout.strip() == told, done.stderr
