"""`gateway keys` as an operator runs it, for tests that need keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.command import main


def keys(folder: Path, *arguments: str) -> Result:
    """One of the commands, on the settings in the folder."""
    return CliRunner().invoke(main, ["keys", *arguments, "--config", str(folder / "smallforge.toml")])


def told(folder: Path, *arguments: str) -> Any:
    """What a command says to programs."""
    done = keys(folder, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def issued(folder: Path, name: str, *flags: str) -> str:
    """A new key, as its holder sends it."""
    return str(told(folder, "create", name, *flags)["key"])


def where_keys_are(folder: Path) -> str:
    """Lines of [gateway] that keep a test's keys in its own folder."""
    return f'database = "{folder / "gateway.db"}"\npepper_file = "{folder / "gateway.pepper"}"'
