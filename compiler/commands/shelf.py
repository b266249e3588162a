"""`compiler list`, `show`, `verify`, `promote`, `rollback`: releases that are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table

from compiler import releases as shelf
from compiler.commands.tracking import mirror
from compiler.evaluation.promotion import CONFIDENCE, GUARDS, Terms, judge_promotion
from compiler.options import complain, console, read_flags, with_mlflow, with_settings
from programs.errors import ProgramError

_SHARE = click.FloatRange(min=0)


@click.command("list")
@with_settings
def list_(**flags: Any) -> None:
    """List all releases with their scores before and after."""
    root = read_flags(flags).releases
    shelved = shelf.list_releases(root)
    if not shelved:
        click.echo(f"no releases in {str(root)!r}; `compiler build PROGRAM` writes one")
        return
    table = Table("release", "aliases", "kind", "score", "interval", "n", "p", box=None, pad_edge=False)
    for release in shelved:
        scores = release.scores
        table.add_row(release.name, ", ".join(release.aliases), release.kind, *shelf.score_cells(scores))
    console().print(table)
    for release in shelved:
        if release.problem:
            complain(f"{release.name}: {release.problem}")


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@with_settings
def show(name: str, **flags: Any) -> None:
    """Show what a release is and what it scored.

    Without a version it is the champion.
    """
    for label, text in shelf.describe_release(read_flags(flags).releases, name):
        click.echo(f"{label:<9} {text}")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME[@VERSION]]...")
@with_settings
def verify(names: Sequence[str], **flags: Any) -> None:
    """Check releases and their evidence.

    Without names, all of them.
    """
    root = read_flags(flags).releases
    broken = 0
    for name in names or [release.name for release in shelf.list_releases(root)]:
        try:
            click.echo(shelf.verify_release(root, name))
        except ProgramError as error:
            complain(f"{name}: {error}")
            broken += 1
    sys.exit(2 if broken else 0)


@click.command()
@click.argument("name", metavar="NAME@VERSION|NAME@candidate")
@click.option("--reason", metavar="TEXT", help="Kept beside the alias. [the comparison with the champion]")
@click.option("--force", is_flag=True, help="Promote it whatever it scored; needs --reason.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=CONFIDENCE,
    show_default=True,
    help="With which it has to be better than the champion on the same rows.",
)
@click.option("--max-unparseable-increase", type=_SHARE, help="Share of all replies. [0.01]")
@click.option("--max-cost-increase", type=_SHARE, help="Share of the champion's cost, as 0.1. [no limit]")
@click.option("--max-latency-increase", type=_SHARE, help="The same of its median latency. [no limit]")
@with_mlflow
@with_settings
def promote(name: str, reason: str | None, force: bool, confidence: float, **flags: Any) -> None:
    """Make a release the champion of its program, if it is better than the present one.

    The first champion of a program is anyone's.
    """
    if force and not reason:
        raise click.UsageError("--force needs --reason TEXT, which is kept beside the alias")
    guards = {guard: flags[guard] for guard in GUARDS if flags[guard] is not None}
    settings = read_flags(flags, compiler={"guards": guards}) if guards else read_flags(flags)
    found = ""
    if not force:
        found = judge_promotion(settings.releases, name, Terms(settings.compiler.guards, confidence))
    click.echo(shelf.promote(settings.releases, name, f"forced: {reason}" if force else reason or found))
    if found:
        click.echo(found)
    mirror(settings, flags, name.partition("@")[0])


@click.command()
@click.argument("name")
@with_mlflow
@with_settings
def rollback(name: str, **flags: Any) -> None:
    """Make the previous champion champion again."""
    settings = read_flags(flags)
    click.echo(shelf.rollback(settings.releases, name))
    mirror(settings, flags, name.partition("@")[0])
