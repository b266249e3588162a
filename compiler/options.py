"""What the verbs of the `compiler` command share: their settings, models by name or URL, where they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from compiler.run import ModelChoice
from engine.settings import Settings, read_settings

TRAFFIC = "traffic:"
_WIDTH_OF_A_LOG = 140  # columns, where there is no terminal to ask


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options from which every command gets its settings."""
    folder = click.Path(path_type=Path)
    releases = click.option("--releases", type=folder, metavar="DIR", help="Folder of releases. [./releases]")
    config = click.option("--config", type=folder, metavar="FILE", help="Configuration. [./smallforge.toml]")
    return releases(config(command))


def with_mlflow(command: Callable[..., None]) -> Callable[..., None]:
    """The option of every command that reads or writes what MLflow keeps."""
    told = "MLflow server or store. [SQLite in .smallforge]"
    return click.option("--mlflow-uri", metavar="URI|off", help=told)(command)


def with_tables(command: Callable[..., None]) -> Callable[..., None]:
    """The option of every command that may look verses up."""
    told = "Folder of the tables of scripture. [SMALLFORGE_DATA/scripture, else the bundled sample]"
    return click.option("--tables", type=click.Path(path_type=Path), metavar="DIR", help=told)(command)


class RowsOrTraffic(click.Path):
    """A file of rows; or `traffic:` and a gateway's database, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(TRAFFIC):
            return value
        return super().convert(value, param, ctx)


def rows_or_traffic(name: str, what: str) -> Callable[..., Any]:
    kind = RowsOrTraffic(path_type=Path)
    return click.option(f"--{name}", type=kind, metavar="ROWS.jsonl|traffic:DATABASE", help=what)


def rows(name: str, what: str) -> Callable[..., Any]:
    return click.option(f"--{name}", type=click.Path(path_type=Path), metavar="ROWS.jsonl", help=what)


def read_flags(flags: Mapping[str, Any], **more: object) -> Settings:
    folders = {name: str(flags[name]) for name in ("releases", "tables") if flags.get(name) is not None}
    return read_settings(flags["config"], {**folders, **more})


def choice(flags: Mapping[str, Any], given: str) -> ModelChoice:
    """A model by the name it is configured under, or by its URL, which is a configuration of its own."""
    if "://" in given:
        return ModelChoice(read_flags(flags, student=given))
    return ModelChoice(read_flags(flags), given)


def console(quiet: bool = False) -> Console:
    """Where results are printed; tables have room where there is no terminal, as in a log or a notebook."""
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(quiet=quiet, width=_WIDTH_OF_A_LOG)


def complain(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
