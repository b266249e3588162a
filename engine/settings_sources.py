"""Where settings come from, merged: familiar variables, the file, then `.env`, the environment, then flags.

Knows no setting by name; `settings_validation` does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from engine.errors import SettingsInvalid
from engine.settings_familiar import from_familiar

_PREFIX = "SMALLFORGE_"
# Variables of ours that are no settings: where data lies, what programs search, which servers live tests ask.
_NO_SETTINGS = frozenset({"data", "retriever", "live_lmstudio", "live_lmstudio_model"})


@dataclass(frozen=True)
class Sources:
    """All settings in one nested mapping, and the variables from which secrets are read."""

    values: Mapping[str, object]
    variables: Mapping[str, str] = field(repr=False)

    def secret(self, name: str | None) -> str | None:
        """The value of a variable, None if it is not set or empty."""
        return (self.variables.get(name) or None) if name else None


def read_sources(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object]
) -> Sources:
    """Read and merge. A named file must exist. Raises SettingsInvalid."""
    file = path or Path("smallforge.toml")
    folder = file.parent
    dotenv = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    variables = {**dotenv, **environment}
    merged = _merged(_from_toml(file, required=path is not None), _from_variables(variables))
    flag, configured = overrides.get("student"), merged.get("student")
    if _is_url(flag) and _is_url(configured) and _address(flag) != _address(configured):
        merged = _without_default_engine(merged)
    merged = _merged(merged, overrides)
    return Sources(_merged(from_familiar(variables, merged), merged), variables)


def _from_toml(file: Path, required: bool) -> Mapping[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingsInvalid([f"there is no file {str(file)!r}"]) from None
        return {}
    except OSError as exc:
        raise SettingsInvalid([f"{str(file)!r} can't be read: {exc.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsInvalid([f"{str(file)!r} is not TOML: {exc}"]) from None


def _from_variables(variables: Mapping[str, str]) -> Mapping[str, object]:
    """`SMALLFORGE_GATEWAY__PORT=80` as {"gateway": {"port": "80"}}."""
    nested: dict[str, object] = {}
    for name, value in sorted(variables.items()):
        if not name.startswith(_PREFIX):
            continue
        words = name.removeprefix(_PREFIX).lower().split("__")
        if words[0] in _NO_SETTINGS:
            continue
        inner: object = value
        for word in reversed(words):
            inner = {word: inner}
        assert isinstance(inner, dict)
        nested = _merged(nested, inner)
    return nested


def _is_url(value: object) -> bool:
    return isinstance(value, str) and "://" in value


def _address(url: object) -> str:
    return str(url).partition("#")[0]


def _without_default_engine(values: Mapping[str, object]) -> dict[str, object]:
    """What is said of the one-line student's engine, its price say, does not hold for another address."""
    engines = values.get("engines")
    if not isinstance(engines, Mapping):
        return dict(values)
    return {**values, "engines": {name: it for name, it in engines.items() if name != "default"}}


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Both; where both have a value `over` wins, where both have a table the tables are merged."""
    merged = dict(under)
    for name, value in over.items():
        beneath = merged.get(name)
        if isinstance(beneath, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(beneath, value)
        else:
            merged[name] = value
    return merged
