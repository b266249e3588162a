"""Shows a build to a person: live bars on a terminal, plain lines elsewhere, and the result as a table.

A reader of the event stream. Progress goes to standard error, the result to standard output; knows nothing of
what a build does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from compiler.evaluation.looks import describe_looks
from compiler.evaluation.score_table import (
    Line,
    describe_difference,
    describe_opinion,
    describe_score,
    how_measured,
    percent,
    score_table,
)
from compiler.events import (
    Analysis,
    Began,
    BuildResult,
    CandidateScored,
    Changed,
    Duplicated,
    Estimated,
    Event,
    FailureGroup,
    Log,
    Scored,
    Spent,
    Stage,
    StageStarted,
)
from programs.release import Kind

TITLES: dict[Stage, str] = {
    "load": "Load and split the examples",
    "check": "Ask student and teacher",
    "estimate": "Estimate calls and cost",
    "optimise": "Optimise",
    "lower": "Lower and prove",
    "baseline": "Score baselines",
    "score": "Score",
    "decide": "Decide",
    "write": "Write the release",
}
FORMS: dict[Kind, str] = {
    "plan": "a plan",
    "neighbours": "a plan whose demonstrations each request chooses",
    "ensemble": "plans that vote",
}
_SECONDS_BETWEEN_LINES = 10.0
# Control characters but line breaks and tabs, and those that turn the direction of all that follows.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Display(Protocol):
    """A reader of the event stream that is shown while its `with` block runs."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def read(self, event: Event) -> None: ...


def open_display(console: Console) -> Display:
    """Bars where the console is a terminal that can move its cursor, lines elsewhere."""
    return LiveBars(console) if console.is_terminal and not console.is_dumb_terminal else PlainLines(console)


class LiveBars:
    """A bar for each stage, with what was spent so far below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]:>8}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[Stage, TaskID] = {}
        self._footer = Text()
        self._live = Live(self._picture(), console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def read(self, event: Event) -> None:
        if isinstance(event, StageStarted) and event.total is not None:
            self._tasks[event.stage] = self._bars.add_task(title_of(event), total=event.total, score="")
        elif isinstance(event, Scored):
            self._advance(event)
        elif isinstance(event, Spent):
            self._footer = Text(describe_spent(event), style="dim")
        else:
            for line in lines_of(event):
                say(self._console, line)
        self._live.update(self._picture())

    def _advance(self, event: Scored) -> None:
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._bars.add_task(TITLES[event.stage], total=event.total, score="")
        score = "" if event.score is None else percent(event.score)
        self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total, score=score)

    def _picture(self) -> RenderableType:
        return Group(self._bars, self._footer)


class PlainLines:
    """One line for each thing that happens, and for progress every ten seconds: fit for a log."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begun = self._last = clock()
        self._spent: Spent | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spent is not None:
            self._print(describe_spent(self._spent))

    def read(self, event: Event) -> None:
        if isinstance(event, Spent):
            self._spent = event
        elif isinstance(event, Scored):
            self._progress(event)
        elif isinstance(event, StageStarted):
            self._begun = self._last = self._clock()
            many = "" if event.total is None else f" ({event.total:,} answers at most)"
            self._print(f"{title_of(event)}{many}")
        else:
            for line in lines_of(event):
                self._print(f"  {line}")

    def _progress(self, event: Scored) -> None:
        now = self._clock()
        complete = event.done == event.total
        if not complete and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        parts = [f"{event.done:,}/{event.total:,}"]
        if event.score is not None:
            parts.append(f"score {percent(event.score)}")
        if not complete:
            left = (now - self._begun) / max(event.done, 1) * (event.total - event.done)
            parts.append(f"about {duration(left)} left")
            if self._spent is not None:
                parts.append(describe_spent(self._spent))
        self._print("  " + ", ".join(parts))

    def _print(self, line: str) -> None:
        say(self._console, line)


def title_of(event: StageStarted) -> str:
    """The stage, or whom it measures."""
    return TITLES[event.stage] if event.contender is None else f"Score {event.contender}"


def lines_of(event: Event) -> Iterable[str]:
    """What there is to say about an event, beyond progress."""
    if isinstance(event, Began):
        yield f"Build {event.build_id}{' goes on' if event.resumed else ''}"
    elif isinstance(event, Log):
        yield event.text
    elif isinstance(event, Estimated):
        tokens = event.prompt_tokens + event.completion_tokens
        cost = "cost unknown" if event.usd is None else f"{event.usd:.4f} USD"
        yield (f"About {event.calls:,} calls, {tokens:,} tokens, {duration(event.seconds)}, {cost}.")
    elif isinstance(event, CandidateScored):
        if event.dropped:
            yield f"{event.name}: dropped after {event.n}, could reach {percent(event.score)} at most"
        else:
            yield f"{event.name}: {percent(event.score)} of {event.n}{', best so far' if event.best else ''}"


def show_result(console: Console, result: BuildResult) -> None:
    """The table of all contenders, why answers fail, and what became of the release."""
    title = f"{result.program}: {result.optimizer}, {result.compiled.n} held-out examples"
    lines = [Line(one.name, one.summary, one.corrected_p) for one in result.contenders]
    console.print(score_table(title, lines))
    tests = [one.against for one in result.contenders if one.against is not None]
    for line in how_measured(tests, result.concurrency):
        say(console, line)
    for one in result.contenders:
        if one.what is not None:
            say(console, f"{one.name.capitalize()}: {one.what}.")
    if result.analysis is not None:
        _show_analysis(console, result.analysis)
    for line in verdict(result):
        say(console, line)


def _show_analysis(console: Console, analysis: Analysis) -> None:
    """The kinds of failures with the worst of each, and what the compilation changed."""
    if analysis.groups:
        console.print(failure_table("Failures of the compiled program", analysis.groups))
    fixed, broke = analysis.fixed, analysis.broke
    say(
        console,
        f"Against zero-shot the compilation fixed {_counted(fixed)} and broke {_counted(broke)}; "
        "the numbers are those of scorecard.jsonl.",
    )


def failure_table(title: str, groups: Iterable[FailureGroup]) -> Table:
    """How often answers fail in which way, each with its worst example."""
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("kind", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    for heading, width in (("for example", 30), ("expected", 18), ("got", 18)):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=width)
    for group in groups:
        worst = group.examples[0]
        said = (f"#{worst.id} {worst.inputs}", worst.expected, worst.got or worst.feedback)
        table.add_row(group.kind, str(group.count), *(Text(visible(text)) for text in said))
    return table


def _counted(changed: Changed) -> str:
    if not changed.count:
        return "none"
    shown = ", ".join(f"#{number}" for number in changed.ids)
    return f"{changed.count} ({shown}{', ...' if changed.count > len(changed.ids) else ''})"


def verdict(result: BuildResult) -> Iterable[str]:
    """The gain, its weight as evidence, and the release."""
    yield describe_difference(result.difference)
    if not result.proven:
        yield "No proven gain: p is not below 0.05, or the score did not rise."
    if result.second_opinion is not None:
        yield from describe_opinion(result.second_opinion)
    if result.weak:
        yield f"Weak evidence: {result.compiled.n} test rows are under 100, so the interval is wide."
    if result.duplicated is not None:
        yield _describe_duplicated(result.duplicated)
    yield describe_looks(result.looks)
    if result.lowered:
        yield f"Lowered to {FORMS[result.kind]}: it is served without DSPy."
    else:
        yield f"Not lowered, served by DSPy: {result.reason}."
    yield f"{describe_spent(result.spent)}."
    stands = "moved no alias" if result.alias is None else f"is the {result.alias}"
    yield f"Release {result.program}@{result.version} {stands}: {result.path}"
    if result.alias == "candidate":
        yield f"To make it the champion: compiler promote {result.program}@{result.version}"


def _describe_duplicated(duplicated: Duplicated) -> str:
    nearly = "is nearly a training or dev row" if duplicated.rows == 1 else "nearly are training or dev rows"
    without = duplicated.without
    rest = "no row is left without them" if without is None else f"without: {describe_score(without)}"
    rows = f"{duplicated.rows} test row{'s' if duplicated.rows != 1 else ''} ({percent(duplicated.share)})"
    return f"{rows} {nearly}; {rest}."


def describe_spent(spent: Spent) -> str:
    cost = "cost unknown" if spent.usd is None else f"{spent.usd:.4f} USD"
    tokens = spent.prompt_tokens + spent.completion_tokens
    return f"{spent.calls:,} calls, {tokens:,} tokens, {cost}, {duration(spent.seconds)}"


def say(console: Console, line: str) -> None:
    """A line as it stands: brackets in it are no markup, numbers get no colours."""
    console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def visible(text: str) -> str:
    """The text with what a terminal would obey written out: data and models may hold such characters."""
    return _OBEYED.sub(lambda found: ascii(found.group())[1:-1], text)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as a clock shows them; under a minute, seconds."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02} min"
