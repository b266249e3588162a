"""`compiler data`: the tables and rows that programs are built from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from compiler.commands.traffic import from_traffic
from compiler.errors import StateNotWritten
from compiler.fetch import fetch_scripture, read_sources
from compiler.options import choice, complain, read_flags, with_settings, with_tables
from compiler.scripture_rows import Counts, Row, generate_rows, portion
from compiler.scripture_teacher import Taught, taught_rows
from programs.data import DATA_VARIABLE, data_folder
from programs.program import SPLITS, Split
from programs.scripture import Tables, open_tables

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def data() -> None:
    """Fetch a program's public tables, make rows from them, or from what a gateway was asked."""


data.add_command(from_traffic)


@data.command()
@click.argument("name", type=click.Choice(["scripture"]))
@click.option("--out", type=_FOLDER, metavar="DIR", help=f"[{DATA_VARIABLE}/scripture, else ./scripture]")
@click.option("--mirror", metavar="URL", help="Another server that has the same paths.")
def fetch(name: str, out: Path | None, mirror: str | None) -> None:
    """Bring the tables NAME from where they are published, checked against the digests of their files.

    Whom to thank is written beside them, in CREDITS.txt.
    """
    folder = out or (data_folder() or Path()) / name
    fetch_scripture(folder, read_sources(), complain, mirror)
    click.echo(f"Now: compiler build scripture_qa --tables {folder}")


@data.command()
@click.argument("program", type=click.Choice(["scripture_qa"]))
@click.option("--examples", type=click.IntRange(min=0), default=1000, show_default=True, help="Questions.")
@click.option(
    "--conversation-pairs", type=click.IntRange(min=0), default=100, show_default=True, help="Follow-ups."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same rows.")
@click.option(
    "--teacher", metavar="URL|NAME", help="Writes richer questions; what the tables refute is dropped."
)
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="Where train, dev and test.jsonl go.")
@with_tables
@with_settings
def generate(program: str, examples: int, conversation_pairs: int, out: Path, **flags: Any) -> None:
    """Make rows for PROGRAM from its tables: 60 % to train, 20 % to select, 20 % to test."""
    tables = open_tables(read_flags(flags).tables)
    rows = generate_rows(tables, Counts(examples, conversation_pairs), flags["seed"])
    if flags["teacher"] is not None:
        taught = asyncio.run(_teach(flags, tables, rows))
        rows = _with_taught(rows, taught, examples)
        kept = sum(map(len, taught.rows.values()))
        click.echo(f"The teacher's {kept} of {kept + taught.dropped.total()} questions are kept.")
        for why, count in taught.dropped.most_common(5):
            click.echo(f"  dropped {count}: {why}")
    _write(out, rows)
    counts = ", ".join(f"{len(rows[split])} {split}" for split in SPLITS)
    click.echo(f"{counts} rows in {out}, from {len(tables):,} verses in {tables.source}")
    files = " ".join(
        f"--{option} {out / f'{split}.jsonl'}"
        for option, split in (("data", "train"), ("dev", "dev"), ("test", "test"))
    )
    click.echo(f"Now: compiler build {program} {files}")


async def _teach(flags: Mapping[str, Any], tables: Tables, rows: Mapping[Split, list[Row]]) -> Taught:
    from engine.local import open_student

    single = {split: [row for row in rows[split] if not row["history"]] for split in SPLITS}
    async with open_student(*choice(flags, flags["teacher"]), complain) as teacher:
        return await taught_rows(teacher.client, tables, single)


def _with_taught(rows: Mapping[Split, list[Row]], taught: Taught, examples: int) -> dict[Split, list[Row]]:
    """The teacher's questions in the place of as many of ours; conversations stay."""
    mixed: dict[Split, list[Row]] = {}
    for split in SPLITS:
        asked = {row["question"]: row for row in taught.rows[split]}
        ours = [row for row in rows[split] if not row["history"]]
        kept = ours[: max(0, portion(examples, split) - len(asked))]
        mixed[split] = [*asked.values(), *kept, *(row for row in rows[split] if row["history"])]
    return mixed


def _write(out: Path, rows: Mapping[Split, list[Row]]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows[split])
            (out / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise StateNotWritten(f"can't write into {str(out)!r}: {error.strerror}") from error
