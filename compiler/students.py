"""The same program built for several students, one after the other, and one table that compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compiler.errors import CompilerError
from compiler.events import BuildResult
from compiler.report.text import percent
from compiler.run import INTERRUPTED, Asked, Ended, check_request, follow_build
from engine.errors import EngineError
from programs.errors import ProgramError

_WORSE = (0, 3, 2, 1, INTERRUPTED)
"""Exit codes, each worse than those before it."""


_NONE = ("", "", "", "", "", "", "", "", "no release")


class Attempt(NamedTuple):
    """How the build for a student ended; None when it was not begun."""

    student: str
    ended: Ended | None


def run_builds(asked: Mapping[str, Asked], out: Console, err: Console) -> int:
    """Builds for every student by its name; the worst of their exit codes.

    The first build moves aliases as any build does, the others move none that is set: which of the students
    is to serve stays the choice of a person. One that fails says why and the next begins; Ctrl-C ends all.

    Raises:
        CompilerError, ProgramError: what would end every build, before the first begins.
    """
    check_request(next(iter(asked.values())).request)
    attempts: list[Attempt] = []
    for number, (student, one) in enumerate(asked.items()):
        if attempts and attempts[-1].ended is not None and attempts[-1].ended.code == INTERRUPTED:
            attempts += [Attempt(left, None) for left in list(asked)[number:]]
            break
        _say(err, f"Student {student!r}, {number + 1} of {len(asked)}")
        alone = replace(one, request=replace(one.request, keep_aliases=number > 0))
        attempts.append(Attempt(student, _ended(alone, out, err)))
    out.print(comparison(attempts))
    for line in problems(attempts):
        _say(out, line)
    return max((attempt.ended.code for attempt in attempts if attempt.ended), key=_WORSE.index)


def comparison(attempts: Sequence[Attempt]) -> Table:
    """A line for each student; of one that has no release the sentence says why."""
    table = Table(title="Students", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("student", overflow="fold")
    for heading in ("zero-shot", "compiled", "95 % interval", "gain", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("tokens\nin / out", "seconds\np50", "USD per\n1,000"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("version", no_wrap=True)
    for student, ended in attempts:
        result = None if ended is None else ended.result
        table.add_row(Text(student), *(_NONE if result is None else _cells(result)))
    return table


def problems(attempts: Sequence[Attempt]) -> list[str]:
    """A sentence for each student that did not come to what was asked."""
    lines = []
    for student, ended in attempts:
        if ended is None:
            lines.append(f"{student}: not begun")
        elif ended.why is not None:
            lines.append(f"{student}: {ended.why}")
    return lines


def _ended(asked: Asked, out: Console, err: Console) -> Ended:
    try:
        return follow_build(asked, out, err)
    except (CompilerError, EngineError) as error:
        ended = Ended(error.exit_code, None, str(error))
    except ProgramError as error:
        ended = Ended(2, None, str(error))
    _say(err, str(ended.why))
    return ended


def _cells(result: BuildResult) -> tuple[str, ...]:
    compiled, gain = result.compiled, result.difference
    read, said = compiled.prompt_tokens_per_answer, compiled.tokens_per_answer
    usd, seconds = compiled.usd_per_answer, compiled.seconds_p50
    return (
        percent(result.baseline.mean),
        percent(compiled.mean),
        f"{100 * compiled.low:.1f} to {100 * compiled.high:.1f}",
        f"{100 * gain.difference:+.1f}",
        "< 0.0001" if gain.p < 0.0001 else f"{gain.p:.4f}",
        "unknown" if read is None or said is None else f"{read:,.0f} / {said:,.0f}",
        "unknown" if seconds is None else f"{seconds:.2f}",
        "unknown" if usd is None else f"{1000 * usd:.2g}",
        result.version,
    )


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
