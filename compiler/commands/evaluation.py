"""`compiler evaluate`, `compare`: what releases score, on rows of one's own or their program's test rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console

from compiler.options import choice, console, read_flags, rows, with_settings, with_tables
from compiler.releases import find_release
from compiler.run import INTERRUPTED, ModelChoice, require_dspy
from compiler.terminal import open_display, say
from engine.settings import Settings
from programs.errors import ProgramNotFound
from programs.loading import load_program
from programs.program import Program
from programs.release import Release, read_release

if TYPE_CHECKING:
    from compiler.evaluation.compare import Comparison
    from compiler.evaluation.evaluate import Candidature, Measured
    from compiler.request import BoundModel

Pair = tuple[Release, str | None]
"""A release and the student that was asked for, None where it is the release's own."""

_STUDENT = "OpenAI-compatible server, or a student of the configuration. [the release's own]"
_shared = (
    rows("data", "Rows to measure on. [the program's test rows]"),
    click.option("--program", metavar="NAME|FILE.py", help="Where its program is. [found by its name]"),
    click.option(
        "--judge", metavar="URL|NAME", help="Model that a metric asks, if it asks one. [the student]"
    ),
    click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight at once. [16]"),
    click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output."),
    with_tables,
    with_settings,
)


def _with_shared(command: Any) -> Any:
    for option in reversed(_shared):
        command = option(command)
    return command


@click.command()
@click.argument("release", metavar="RELEASE")
@click.option("--student", metavar="URL|NAME", help=_STUDENT)
@_with_shared
def evaluate(release: str, **flags: Any) -> None:
    """Measure RELEASE on rows and keep the result as its evidence.

    RELEASE is NAME, NAME@candidate or NAME@VERSION.
    """
    settings = read_flags(flags)
    found = read_release(find_release(settings.releases, release))
    measured = _run(_evaluate(settings, flags, (found, flags["student"])))
    if flags["as_json"]:
        click.echo(orjson.dumps(measured.as_dict(), option=orjson.OPT_INDENT_2, default=str))
    else:
        _show_evaluation(console(), measured)


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option("--student-a", metavar="URL|NAME", help=_STUDENT)
@click.option("--student-b", metavar="URL|NAME", help=_STUDENT)
@click.option("--live", is_flag=True, help="Measure nothing: by what a gateway answered with them.")
@click.option("--metrics", metavar="URL", help="Live: the gateway's metrics. [as configured]")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Live: within the next seconds.")
@click.option("--traffic", is_flag=True, help="Live: by the traffic log, request by request.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Live: the last hours of that log.")
@_with_shared
def compare(a: str, b: str | None, live: bool, **flags: Any) -> None:
    """Measure two releases of one program on the same rows, and test what B gains over A.

    With --live A alone is a program: its champion, and its canary or candidate.
    """
    settings = read_flags(flags)
    if live:
        from compiler.commands.live import compare_live

        return compare_live(settings, a, b, flags)
    if b is None or any(flags[name] for name in ("metrics", "seconds", "traffic", "hours")):
        raise click.UsageError(
            "without --live, name A and B: two releases that are measured on the same rows here"
        )
    first, second = (read_release(find_release(settings.releases, name)) for name in (a, b))
    pair = ((first, flags["student_a"]), (second, flags["student_b"]))
    comparison = _run(_compare(settings, flags, pair))
    if flags["as_json"]:
        click.echo(orjson.dumps(comparison.as_dict(), option=orjson.OPT_INDENT_2, default=str))
    else:
        _show_comparison(console(), comparison)


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        say(Console(stderr=True), "Interrupted; nothing was kept.")
        raise SystemExit(INTERRUPTED) from None


async def _evaluate(settings: Settings, flags: Mapping[str, Any], pair: Pair) -> Measured:
    from compiler.evaluation.evaluate import evaluate, load_rows, open_bureau

    asked = load_rows(_program(flags, pair[0]), flags["data"], settings.tables)
    async with AsyncExitStack() as opened:
        (who,) = await _open(opened, flags, [pair])
        display = opened.enter_context(open_display(Console(stderr=True)))
        bureau = opened.enter_context(open_bureau(settings.state, "evaluate", _concurrency(settings, flags)))
        return await evaluate(bureau, who, asked, settings.state, display.read)


async def _compare(settings: Settings, flags: Mapping[str, Any], pair: tuple[Pair, Pair]) -> Comparison:
    from compiler.evaluation.compare import compare
    from compiler.evaluation.evaluate import load_rows, open_bureau

    asked = load_rows(_program(flags, pair[0][0]), flags["data"], settings.tables)
    async with AsyncExitStack() as opened:
        first, second = await _open(opened, flags, pair)
        display = opened.enter_context(open_display(Console(stderr=True)))
        bureau = opened.enter_context(open_bureau(settings.state, "compare", _concurrency(settings, flags)))
        return await compare(bureau, (first, second), asked, settings.state, display.read)


async def _open(opened: AsyncExitStack, flags: Mapping[str, Any], pairs: Sequence[Pair]) -> list[Candidature]:
    """The releases with their students, a student that several share opened once."""
    from compiler.evaluation.evaluate import Candidature
    from engine.local import open_student

    known: dict[object, BoundModel] = {}

    async def model(asked: ModelChoice, key: object) -> BoundModel:
        if key not in known:
            known[key] = await opened.enter_async_context(
                open_student(*asked, lambda line: say(Console(stderr=True), line))
            )
        return known[key]

    found = []
    for release, given in pairs:
        own = release.identity.student
        asked = ModelChoice(read_flags(flags), own) if given is None else choice(flags, given)
        judging = flags["judge"]
        judge = None if judging is None else await model(choice(flags, judging), judging)
        found.append(Candidature(release, await model(asked, given or ("own", own)), judge))
    return found


def _program(flags: Mapping[str, Any], release: Release) -> Program:
    """Its metric and its rows are the program's, also where the release itself needs none of it."""
    require_dspy()
    if flags["program"] is not None:
        return load_program(flags["program"])
    try:
        return load_program(release.identity.program)
    except ProgramNotFound as error:
        raise ProgramNotFound(f"{error}; name the file with --program") from error


def _concurrency(settings: Settings, flags: Mapping[str, Any]) -> int:
    return int(flags["concurrency"] or settings.compiler.concurrency)


def _show_evaluation(out: Console, measured: Measured) -> None:
    from compiler.evaluation.analysis import analyse
    from compiler.evaluation.looks import describe_looks
    from compiler.evaluation.score_table import Line, how_measured, score_table
    from compiler.terminal import failure_table

    rows = measured.rows
    title = f"{measured.release.name}: {len(rows.examples)} rows, {rows.source}"
    out.print(score_table(title, [Line("release", measured.summary)]))
    groups = analyse(rows.examples, measured.answers, measured.answers).groups
    if groups:
        out.print(failure_table("Failures", groups))
    for line in how_measured([], measured.concurrency):
        say(out, line)
    if not measured.own_student:
        say(out, "The student is another one than the release was compiled for.")
    say(out, describe_looks(measured.looks))
    say(out, f"Evidence: {measured.release.path / 'evidence' / measured.id}")


def _show_comparison(out: Console, found: Comparison) -> None:
    from compiler.evaluation.looks import describe_looks
    from compiler.evaluation.score_table import Line, describe_difference, how_measured, score_table

    a, b = found.a, found.b
    lines = [Line("A", a.summary, found.test.p), Line("B", b.summary)]
    out.print(score_table(f"{len(a.rows.examples)} rows, {a.rows.source}", lines))
    for name, side in (("A", a), ("B", b)):
        other = "" if side.own_student else ", another student than it was compiled for"
        say(out, f"{name}: {side.release.name} on {side.student['name']!r}{other}.")
    for line in how_measured([found.test], a.concurrency):
        say(out, line)
    say(out, f"B against A: {describe_difference(found.test)}")
    crossed = found.crossed
    say(
        out,
        f"Right: both {crossed.both}, only A {crossed.only_a}, only B {crossed.only_b}, "
        f"neither {crossed.neither}.",
    )
    for what, ids in (("better", found.won), ("worse", found.lost)):
        if ids:
            say(out, f"B is {what} on {', '.join(f'#{number}' for number in ids)}")
    say(out, describe_looks(a.looks))
    for side, evidence in ((a, f"{a.id}-a"), (b, f"{b.id}-b")):
        say(out, f"Evidence: {Path(side.release.path) / 'evidence' / evidence}")
