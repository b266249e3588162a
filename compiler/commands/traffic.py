"""`compiler data from-traffic`: rows out of a gateway's traffic log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compiler.errors import StateNotWritten, TrafficUnreadable
from compiler.options import complain, read_flags, with_settings
from programs.loading import known_programs, load_program

if TYPE_CHECKING:
    from compiler.traffic.log import TrafficLog
    from compiler.traffic.rows import Row

_AGO = re.compile(r"(\d{1,5})(d|h)")


class Moment(click.ParamType[float]):
    """A point in time, as seconds since 1970."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        ago = _AGO.fullmatch(str(value))
        if ago is not None:
            span = timedelta(days=int(ago[1])) if ago[2] == "d" else timedelta(hours=int(ago[1]))
            return (datetime.now(UTC) - span).timestamp()
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write '7d', '12h', '2026-11-01' or '2026-11-01T12:00'.")
        # A time without a zone is that of the clock on the wall.
        return (found if found.tzinfo is not None else found.astimezone()).timestamp()


@click.command(name="from-traffic")
@click.option("--program", metavar="NAME|FILE.py", help="Whose rows. [the only one in the log]")
@click.option("--since", type=Moment(), metavar="TIME", help="Nothing older: '7d', '12h', '2026-11-01'.")
@click.option(
    "--min-score", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Lower is no example."
)
@click.option(
    "--only",
    type=click.Choice(["corrected", "scored", "all"]),
    help="'all' takes answers too that nobody spoke of. [corrected and scored]",
)
@click.option("--limit", type=click.IntRange(min=1), help="No more rows than these, the newest.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Where they go.")
@click.option("--database", metavar="FILE|URL", help="The gateway's. [that of its configuration]")
@with_settings
def from_traffic(program: str | None, since: float | None, out: Path, **flags: Any) -> None:
    """Make rows of what a gateway was asked and of what was said of its answers.

    A correction is the label of its row, an approved answer is its own. Where each is from stands beside it.
    """
    from compiler.traffic.log import TrafficLog
    from compiler.traffic.rows import Wanted, example_rows
    from compiler.traffic.snapshot import as_lines, summary

    log = TrafficLog(flags["database"] or read_flags(flags).gateway.database)
    name, problems = _program(program or _only_one(log))
    exchanges = log.exchanges(name, since, unrated=flags["only"] == "all")
    found = example_rows(exchanges, Wanted(flags["only"], flags["min_score"], flags["limit"]), problems)
    _write(out, as_lines(found))
    click.echo(f"{summary(found)} of {name!r} in {out}, from {log.shown}")
    if found.rows:
        click.echo(f"Now: compiler build {program or name} --data {out}")


def _only_one(log: TrafficLog) -> str:
    programs = log.programs()
    if len(programs) != 1:
        known = ", ".join(programs) or "none"
        raise TrafficUnreadable(f"--program must name one of the programs in {log.shown!r}: {known}")
    return programs[0]


def _program(given: str) -> tuple[str, Callable[[Row], Iterable[str]]]:
    """The program's own name, and what keeps a row from being an example of it."""
    from compiler.traffic.snapshot import problems_with

    if not given.endswith(".py") and "/" not in given and given not in known_programs():
        complain(f"There is no program {given!r} here; whether the rows fit it is seen when it is built.")
        return given, lambda row: ()
    program = load_program(given)
    return program.name, problems_with(program)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise StateNotWritten(f"can't write {str(path)!r}: {error.strerror}") from error
