"""`compiler new`, `compiler programs`: what can be built."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from compiler.new import NewProgram, new_program
from programs.loading import list_programs


@click.command()
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


@click.command()
def programs() -> None:
    """List the programs that can be built by name."""
    listings = list_programs()
    width = max(len(listing.name) for listing in listings)
    for listing in listings:
        click.echo(f"{listing.name:<{width}}  {listing.summary}")
