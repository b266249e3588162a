"""`compiler compare --live`: two releases by what a gateway answered with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from time import time
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from compiler.errors import UserMistake
from compiler.gateway_metrics import metrics_url
from compiler.options import console
from compiler.releases import find_release
from compiler.terminal import say
from engine.settings import Settings
from programs.canary import Canary, read_canary

if TYPE_CHECKING:
    from compiler.evaluation.live import Line, LiveComparison, What
    from compiler.evaluation.live_numbers import Pair
    from compiler.evaluation.statistics import Interval

_POINTS = ("errors", "unparseable")
_WORDS: Mapping[What, tuple[str, str]] = {
    "errors": ("has more errors", "has fewer errors"),
    "unparseable": ("has more unparseable answers", "has fewer unparseable answers"),
    "seconds, median": ("is slower", "is faster"),
    "USD per request": ("costs more", "costs less"),
    "feedback": ("is liked more", "is liked less"),
}
"""What B does where it has more of something, and where it has less."""


def compare_live(settings: Settings, a: str, b: str | None, flags: Mapping[str, Any]) -> None:
    """Prints the two beside each other; without B, A's program: its champion, and its canary or candidate."""
    from compiler.evaluation.live import LiveComparison
    from compiler.evaluation.live_numbers import by_metrics, by_traffic

    seconds, hours = flags["seconds"], flags["hours"]
    if flags["traffic"] and (seconds is not None or flags["metrics"] is not None):
        raise click.UsageError("--traffic reads what was logged; --metrics and --seconds belong to the other")
    if hours is not None and not flags["traffic"]:
        raise click.UsageError("--hours needs --traffic: metrics do not say when something was")
    pair, canary = _pair(settings, a, b)
    if flags["traffic"]:
        since = time() - hours * 3600 if hours is not None else _began(canary)
        sides = by_traffic(settings.gateway.database, pair, since)
        where = f"the traffic log, {_since(hours, since)}"
    else:
        url = flags["metrics"] or metrics_url(settings.gateway)
        sides = by_metrics(url, pair, seconds)
        where = f"{url}, {'since the gateway began' if seconds is None else f'within {seconds:g} s'}"
    found = LiveComparison(*sides)
    if flags["as_json"]:
        click.echo(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2))
    else:
        _show(console(), found, where)


def _pair(settings: Settings, a: str, b: str | None) -> tuple[Pair, Canary | None]:
    """The two releases, and the canary that B is, if it is one."""
    from compiler.evaluation.live_numbers import Pair

    first = find_release(settings.releases, a)
    canary = read_canary(first.parent)
    if b is None and canary is not None and canary.version != first.name:
        b = f"{first.parent.name}@{canary.version}"
    second = find_release(settings.releases, b or f"{first.parent.name}@candidate")
    if second == first or second.parent != first.parent:
        raise UserMistake(
            f"A is {first.parent.name}@{first.name} and B is {second.parent.name}@{second.name}; name two "
            "releases of one program"
        )
    names = (f"{path.parent.name}@{path.name}" for path in (first, second))
    return Pair(*names), canary if canary is not None and canary.version == second.name else None


def _began(canary: Canary | None) -> float | None:
    """Before, the two were asked at different times, and perhaps of different things."""
    return None if canary is None else datetime.fromisoformat(canary.started).timestamp()


def _since(hours: float | None, since: float | None) -> str:
    if hours is not None:
        return f"the last {hours:g} hours"
    return "all of it" if since is None else "since the canary began"


def _show(out: Console, found: LiveComparison, where: str) -> None:
    table = Table(title="Live", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("A", "B", "B less A", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("requests", f"{found.a.errors.n:,}", f"{found.b.errors.n:,}", "", "")
    for line in found.lines:
        p = found.corrected.get(line.what)
        told = "" if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}"
        table.add_row(line.what, _cell(line, line.a), _cell(line, line.b), _difference(line), told)
    out.print(table)
    say(out, f"A: {found.a.release}, B: {found.b.release}, by {where}. In brackets 95 % intervals.")
    say(
        out,
        "p: Fisher's exact test of shares, Mann and Whitney's of all times, Welch's of means. They are "
        "Holm-corrected, and hold for one look, not for looking until they are small.",
    )
    beyond = found.beyond_chance()
    for line in beyond:
        say(out, f"Beyond chance: {_told(line)}.")
    if not beyond:
        say(out, "No difference is beyond chance.")


def _cell(line: Line, value: Interval | None) -> str:
    if value is None:
        return "unknown"
    bounds = "" if math.isnan(value.low) else f" ({_number(line, value.low)} to {_number(line, value.high)})"
    return _number(line, value.mean) + (" %" if line.what in _POINTS else "") + bounds


def _number(line: Line, value: float) -> str:
    if line.what in _POINTS:
        return f"{100 * value:.1f}"
    return f"{value:.3g}" if math.isfinite(value) else "more"


def _difference(line: Line) -> str:
    if line.difference is None:
        return ""
    low, high = line.difference
    if line.what in _POINTS:
        return f"{100 * low:+.1f} to {100 * high:+.1f} points"
    return f"{low:+.3g} to {high:+.3g}"


def _told(line: Line) -> str:
    return f"B {_WORDS[line.what][0 if line.more else 1]}"
