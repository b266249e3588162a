"""`compiler serve`, as far as a terminal sees it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from compiler.command import main


def test_it_is_not_opened_to_other_machines_without_a_key(tmp_path: Path) -> None:
    config = tmp_path / "smallforge.toml"
    config.write_text("")
    done = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0", "--config", str(config)])
    assert done.exit_code == 2 and "needs an admin key" in done.stderr


def test_a_new_key_is_told_with_its_setting() -> None:
    told = CliRunner().invoke(main, ["serve", "--new-key"]).stdout
    key, digest = re.findall(r"sfa-[\w-]{43}|[0-9a-f]{64}", told)
    assert hashlib.sha256(key.encode()).hexdigest() == digest


def test_a_digest_that_is_none_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "smallforge.toml"
    config.write_text('[console]\nadmin_key_sha256 = "secret"\n')
    done = CliRunner().invoke(main, ["serve", "--config", str(config)])
    assert done.exit_code == 2 and "console.admin_key_sha256 is no SHA-256" in done.stderr


def test_other_verbs_start_without_its_libraries() -> None:
    heavy = "{'fastapi', 'uvicorn', 'persistqueue', 'dspy'}"
    script = f"import sys, compiler.command; print(*{heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""
