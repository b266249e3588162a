"""The `compiler` command: reads flags and configuration, calls what does the work, prints what came of it.

Turns errors into sentences and exit codes: 0 done, 1 our fault, 2 the user's mistake, 3 below what was asked
for, 130 interrupted and resumable.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from compiler import releases as shelf
from compiler.errors import CompilerError
from compiler.new import NewProgram, new_program
from compiler.request import DEFAULT_OPTIMIZER, BuildRequest, DataPaths
from compiler.run import Asked, ModelChoice, run_build
from engine.errors import EngineError
from engine.settings import Settings, read_settings
from programs.errors import DataInvalid, ProgramError
from programs.loading import list_programs, load_program

_MOST_MISTAKES = 100  # of a data file, shown on screen
_WIDTH_OF_A_LOG = 140  # columns, where there is no terminal to ask


class Commands(click.Group):
    """Turns errors that are sentences into lines on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataInvalid as error:
            _complain(*error.mistakes[:_MOST_MISTAKES])
            if len(error.mistakes) > _MOST_MISTAKES:
                _complain(f"... and {len(error.mistakes) - _MOST_MISTAKES:,} more")
            ctx.exit(2)
        except ProgramError as error:
            _complain(str(error))
            ctx.exit(2)
        except (CompilerError, EngineError) as error:
            _complain(str(error))
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smallforge")
def main() -> None:
    """Compile programs for small models, and keep their releases."""


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options from which every command gets its settings."""
    folder = click.Path(path_type=Path)
    releases = click.option("--releases", type=folder, metavar="DIR", help="Folder of releases. [./releases]")
    config = click.option("--config", type=folder, metavar="FILE", help="Configuration. [./smallforge.toml]")
    return releases(config(command))


def _rows(name: str, what: str) -> Callable[..., Any]:
    return click.option(f"--{name}", type=click.Path(path_type=Path), metavar="ROWS.jsonl", help=what)


@main.command()
@click.argument("program")
@_rows("data", "Rows to train with instead of the program's own; what else is missing is cut from them.")
@_rows("dev", "Rows to select with.")
@_rows("test", "Rows to measure with, held out from everything else.")
@click.option(
    "--optimizer",
    default=DEFAULT_OPTIMIZER,
    show_default=True,
    help="LabeledFewShot, BootstrapFewShot, ...; an unknown one lists all. 'none' releases PROGRAM as it is.",
)
@click.option("--set", "arguments", multiple=True, metavar="KEY=VALUE", help="An argument of the optimiser.")
@click.option(
    "--student", metavar="URL|NAME", help="OpenAI-compatible server, or a student of the configuration."
)
@click.option(
    "--teacher", metavar="URL|NAME", help="The same for the teacher; without it the student teaches."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the split and of every random choice."
)
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight at once. [16]")
@click.option("--max-usd", type=click.FloatRange(min=0), help="Stop where it would cost, or has cost, more.")
@click.option("--target", type=click.FloatRange(0, 1), help="Exit with 3 when the test score is lower.")
@click.option("--gain", type=click.FloatRange(-1, 1), help="Exit with 3 when the gain is lower.")
@click.option("--mlflow-uri", metavar="URI|off", help="MLflow server or store. [SQLite in .smallforge]")
@click.option("--resume", metavar="BUILD_ID", help="Go on with an interrupted build, its options repeated.")
@_with_settings
def build(program: str, **flags: Any) -> None:
    """Optimise PROGRAM, prove the gain, write a release.

    PROGRAM is a name that `compiler programs` lists, or the path of a .py file.
    """
    settings = _settings(flags)
    compiling = settings.compiler
    max_usd = compiling.max_usd if flags["max_usd"] is None else flags["max_usd"]
    request = BuildRequest(
        program=load_program(program),
        data=DataPaths(flags["data"], flags["dev"], flags["test"]),
        optimizer=flags["optimizer"],
        arguments=_arguments(flags["arguments"]),
        seed=flags["seed"],
        concurrency=flags["concurrency"] or compiling.concurrency,
        max_usd=max_usd,
        target=flags["target"],
        required_gain=flags["gain"],
        releases=settings.releases,
        state=settings.state,
        build_id=flags["resume"],
    )
    asked = Asked(
        request=request,
        student=ModelChoice(settings) if flags["student"] is None else _choice(flags, flags["student"]),
        teacher=None if flags["teacher"] is None else _choice(flags, flags["teacher"]),
        mlflow_uri=flags["mlflow_uri"] or compiling.mlflow_uri,
        again=_resuming(sys.argv[1:]),
    )
    sys.exit(run_build(asked, _console(), Console(stderr=True)))


@main.command("list")
@_with_settings
def list_(**flags: Any) -> None:
    """List all releases with their scores before and after."""
    root = _settings(flags).releases
    shelved = shelf.list_releases(root)
    if not shelved:
        click.echo(f"no releases in {str(root)!r}; `compiler build PROGRAM` writes one")
        return
    table = Table("release", "aliases", "kind", "score", "interval", "n", "p", box=None, pad_edge=False)
    for release in shelved:
        scores = release.scores
        table.add_row(release.name, ", ".join(release.aliases), release.kind, *shelf.score_cells(scores))
    _console().print(table)
    for release in shelved:
        if release.problem:
            _complain(f"{release.name}: {release.problem}")


@main.command()
@click.argument("name", metavar="NAME[@VERSION]")
@_with_settings
def show(name: str, **flags: Any) -> None:
    """Show what a release is and what it scored.

    Without a version it is the champion.
    """
    for label, text in shelf.describe_release(_settings(flags).releases, name):
        click.echo(f"{label:<9} {text}")


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME[@VERSION]]...")
@_with_settings
def verify(names: Sequence[str], **flags: Any) -> None:
    """Check releases and their evidence.

    Without names, all of them.
    """
    root = _settings(flags).releases
    broken = 0
    for name in names or [release.name for release in shelf.list_releases(root)]:
        try:
            click.echo(shelf.verify_release(root, name))
        except ProgramError as error:
            _complain(f"{name}: {error}")
            broken += 1
    sys.exit(2 if broken else 0)


@main.command()
@click.argument("name", metavar="NAME@VERSION|NAME@candidate")
@click.option("--reason", default="promoted by hand", help="Kept beside the alias.")
@_with_settings
def promote(name: str, reason: str, **flags: Any) -> None:
    """Make a release the champion of its program."""
    click.echo(shelf.promote(_settings(flags).releases, name, reason))


@main.command()
@click.argument("name")
@_with_settings
def rollback(name: str, **flags: Any) -> None:
    """Make the previous champion champion again."""
    click.echo(shelf.rollback(_settings(flags).releases, name))


@main.command()
@click.argument("name")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="ROWS.jsonl", help="Your rows."
)
@click.option("--answer", required=True, metavar="FIELD", help="The field that the program is to give.")
@click.option(
    "--input", "inputs", multiple=True, metavar="FIELD", help="A field that it is given. [all others]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where to. [here]"
)
def new(name: str, data: Path, answer: str, inputs: tuple[str, ...], out: Path) -> None:
    """Write a program file NAME.py for rows of your own."""
    written = new_program(NewProgram(name, data, answer, inputs, out))
    for note in written.notes:
        click.echo(note)
    shown = str(written.path) if written.path.is_absolute() else os.path.join(os.curdir, written.path)
    click.echo(f"Wrote {written.path}. Now:\n  compiler build {shlex.quote(shown)}")


@main.command()
def programs() -> None:
    """List the programs that can be built by name."""
    listings = list_programs()
    width = max(len(listing.name) for listing in listings)
    for listing in listings:
        click.echo(f"{listing.name:<{width}}  {listing.summary}")


def _settings(flags: Mapping[str, Any], **more: object) -> Settings:
    releases = {} if flags["releases"] is None else {"releases": str(flags["releases"])}
    return read_settings(flags["config"], {**releases, **more})


def _choice(flags: Mapping[str, Any], given: str) -> ModelChoice:
    """A model by the name it is configured under, or by its URL, which is a configuration of its own."""
    if "://" in given:
        return ModelChoice(_settings(flags, student=given))
    return ModelChoice(_settings(flags), given)


def _arguments(pairs: Sequence[str]) -> dict[str, object]:
    """`key=value` pairs; a value that is JSON is read as such, any other is a text."""
    arguments: dict[str, object] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise click.BadParameter(
                f"{pair!r} is no KEY=VALUE, as in --set max_labeled_demos=8", param_hint="--set"
            )
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments


def _resuming(arguments: Sequence[str]) -> Callable[[str], str]:
    """How this command goes on with the build of an id: itself, with --resume."""
    kept = [
        a
        for i, a in enumerate(arguments)
        if not a.startswith("--resume") and arguments[i - 1 : i] != ["--resume"]
    ]
    return lambda build_id: shlex.join(["compiler", *kept, "--resume", build_id])


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_A_LOG)


def _complain(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
