"""`compiler build`: a program becomes a release."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from compiler.event_file import open_event_file
from compiler.options import (
    TRAFFIC,
    choice,
    complain,
    console,
    read_flags,
    rows,
    rows_or_traffic,
    with_settings,
    with_tables,
)
from compiler.request import DEFAULT_OPTIMIZER, BuildRequest, DataPaths
from compiler.run import Asked, Ended, ModelChoice, Reader, check_begun, require_dspy, run_build
from compiler.spending import Ceiling
from compiler.students import run_builds
from compiler.workshop import new_build_id
from programs.loading import load_program
from programs.program import Program

_OF_ONE = {"resume": "goes on with", "build-id": "names", "estimate": "is of", "events": "writes about"}


@click.command()
@click.argument("program")
@rows_or_traffic("data", "Rows to train with instead of the program's own; what is missing is cut from them.")
@rows("dev", "Rows to select with.")
@rows("test", "Rows to measure with, held out from everything else.")
@click.option(
    "--optimizer",
    default=DEFAULT_OPTIMIZER,
    show_default=True,
    help="LabeledFewShot, MIPROv2, ...; an unknown one lists all. 'auto' chooses, 'none' changes nothing.",
)
@click.option("--set", "arguments", multiple=True, metavar="KEY=VALUE", help="An argument of the optimiser.")
@click.option(
    "--student",
    "students",
    multiple=True,
    metavar="URL|NAME",
    help="OpenAI-compatible server, or a student of the configuration; several build one by one.",
)
@click.option(
    "--teacher", metavar="URL|NAME", help="The same for the teacher; without it the student teaches."
)
@click.option(
    "--proposer", metavar="URL|NAME", help="The same for the model that writes instructions. [the teacher]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the split and of every random choice."
)
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight at once. [16]")
@click.option("--max-usd", type=click.FloatRange(min=0), help="End the search where the build costs more.")
@click.option("--max-calls", type=click.IntRange(min=1), help="End the search where it takes more calls.")
@click.option("--max-minutes", type=click.FloatRange(min=0), help="End the search where it takes longer.")
@click.option(
    "--token-price-weight",
    type=click.FloatRange(min=0),
    default=0.0,
    help="What 1,000 prompt tokens of a candidate take from its score when candidates are compared. [0]",
)
@click.option("--target", type=click.FloatRange(0, 1), help="Exit with 3 when the test score is lower.")
@click.option("--gain", type=click.FloatRange(-1, 1), help="Exit with 3 when the gain is lower.")
@click.option("--mlflow-uri", metavar="URI|off", help="MLflow server or store. [SQLite in .smallforge]")
@click.option("--estimate", is_flag=True, help="Ask the first questions, tell what it will take, and end.")
@click.option(
    "--events", type=click.Path(path_type=Path), metavar="FILE", help="Append all events as JSON lines."
)
@click.option("--build-id", metavar="ID", help="What the build is called; one that was begun goes on.")
@click.option("--resume", metavar="BUILD_ID", help="Go on with an interrupted build, its options repeated.")
@with_tables
@with_settings
def build(program: str, **flags: Any) -> None:
    """Optimise PROGRAM, prove the gain, write a release.

    PROGRAM is a name that `compiler programs` lists, or the path of a .py file.
    """
    if flags["events"] is None:
        sys.exit(_build(program, flags).code)
    with open_event_file(flags["events"]) as events:
        ended = _build(program, flags, (events,))
        events.end(ended.code, () if ended.why is None else (ended.why,))
    sys.exit(ended.code)


def _build(program: str, flags: Mapping[str, Any], readers: Sequence[Reader] = ()) -> Ended:
    students = flags["students"]
    if len(students) > 1:
        _check_students(students, flags)
    settings = read_flags(flags)
    compiling = settings.compiler
    max_usd = compiling.max_usd if flags["max_usd"] is None else flags["max_usd"]
    loaded, build_id = load_program(program), _build_id(flags, settings.state)
    train, arguments = flags["data"], sys.argv[1:]
    if isinstance(train, str):
        build_id = build_id or (new_build_id() if len(students) < 2 else None)
        database = train.removeprefix(TRAFFIC) or settings.gateway.database
        train = _snapshot(database, loaded, settings.state, build_id)
        arguments = [*_without(arguments, "--data"), "--data", str(train)]
    request = BuildRequest(
        program=loaded,
        data=DataPaths(train, flags["dev"], flags["test"]),
        optimizer=flags["optimizer"],
        arguments=_arguments(flags["arguments"]),
        seed=flags["seed"],
        concurrency=flags["concurrency"] or compiling.concurrency,
        ceiling=Ceiling(max_usd, flags["max_calls"], flags["max_minutes"]),
        token_price_weight=flags["token_price_weight"],
        target=flags["target"],
        required_gain=flags["gain"],
        tables=settings.tables,
        releases=settings.releases,
        state=settings.state,
        build_id=build_id,
        only_estimate=flags["estimate"],
    )
    asked = Asked(
        request=request,
        student=choice(flags, students[0]) if students else ModelChoice(settings),
        teacher=None if flags["teacher"] is None else choice(flags, flags["teacher"]),
        proposer=None if flags["proposer"] is None else choice(flags, flags["proposer"]),
        mlflow_uri=flags["mlflow_uri"] or compiling.mlflow_uri,
        again=_resuming(arguments),
    )
    if len(students) > 1:
        each = {
            given: replace(asked, student=choice(flags, given), again=_resuming(arguments, given))
            for given in students
        }
        return Ended(run_builds(each, console(), Console(stderr=True)))
    return run_build(asked, console(), Console(stderr=True), readers)


def _snapshot(database: str, program: Program, state: Path, build_id: str | None) -> Path:
    """The rows out of a traffic log; a build that is resumed sees those that it began with."""
    require_dspy()
    from compiler.traffic.snapshot import snapshot

    return snapshot(database, program, state / "traffic", build_id, complain)


def _build_id(flags: Mapping[str, Any], state: Path) -> str | None:
    resumed: str | None = flags["resume"]
    called: str | None = flags["build_id"]
    if resumed and called:
        raise click.UsageError("--resume and --build-id both name a build; keep one of them")
    if resumed:
        check_begun(state, resumed)
    return resumed or called


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


def _check_students(students: Sequence[str], flags: Mapping[str, Any]) -> None:
    for option in _OF_ONE:
        if flags[option.replace("-", "_")]:
            raise click.UsageError(
                f"--{option} {_OF_ONE[option]} one build, and {len(students)} students were named; "
                "name the one whose build it is"
            )
    twice = [given for given in dict.fromkeys(students) if students.count(given) > 1]
    if twice:
        raise click.UsageError(f"student {twice[0]!r} is named twice; name each once")


def _resuming(arguments: Sequence[str], student: str | None = None) -> Callable[[str], str]:
    """How this command goes on with the build of an id: itself with --resume, for this student alone."""
    kept = list(arguments)
    for option in ("--resume", "--build-id", "--events"):
        kept = _without(kept, option)
    if student is not None:
        kept = [*_without(kept, "--student"), "--student", student]
    # What follows `--` is no option.
    place = kept.index("--") if "--" in kept else len(kept)
    return lambda build_id: shlex.join(["compiler", *kept[:place], "--resume", build_id, *kept[place:]])


def _without(arguments: Sequence[str], option: str) -> list[str]:
    return [
        a
        for i, a in enumerate(arguments)
        if a != option and not a.startswith(f"{option}=") and arguments[i - 1 : i] != [option]
    ]
