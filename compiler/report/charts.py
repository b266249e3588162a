"""The report's charts as inline SVG: text stays text in the page's font, colours are the page's own.

Drawn for a width of about 400 pixels, so that they are read on a phone and stand side by side elsewhere.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins: the page decides what they are, by day and by night.
INK, MUTED, RULE, ACCENT, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505"
_COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", PAPER: "paper"}
_SIZE = (5.6, 3.7)  # inches at 72 units each
_MOST_MARKS = 600  # candidates in a chart
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
}

Candidates = Sequence[Mapping[str, Any]]


class Mark(NamedTuple):
    """A program by what its answers cost and how right they are, with its 95 % interval."""

    name: str
    cost: float
    score: float
    low: float
    high: float
    chosen: bool = False


def score_against_cost(candidates: Candidates, chosen: str) -> str | None:
    """Every candidate's dev score over the size of its prompt; None where no sizes are known."""
    costs, label = _costs(candidates)
    if not costs:
        return None

    def draw(axes: Axes) -> None:
        axes.set_xlabel(label)
        for cost, tried in costs:
            _mark(axes, cost, tried, _is_chosen(tried, candidates, chosen))
        axes.margins(x=0.12, y=0.15)

    return _chart("cost", f"Dev score of {len(costs)} candidates against {label.lower()}", draw)


def quality_against_cost(marks: Sequence[Mark], unit: str) -> str | None:
    """Scores with their intervals over what an answer costs; None where there is nothing to compare."""
    if len({mark.cost for mark in marks}) < 2:
        return None
    from matplotlib.ticker import MaxNLocator
    from numpy import format_float_positional

    def draw(axes: Axes) -> None:
        axes.set_xlabel(unit)
        for number, mark in enumerate(sorted(marks, key=lambda mark: mark.cost)):
            low, high = (100 * abs(mark.score - end) for end in (mark.low, mark.high))
            axes.errorbar(mark.cost, 100 * mark.score, [[low], [high]], color=MUTED, linewidth=1.2)
            filled = {"color": ACCENT} if mark.chosen else {"mfc": PAPER, "mec": MUTED, "mew": 1.6}
            # The chosen one lies above others that score and cost the same.
            depth = 4 if mark.chosen else 3
            axes.plot(mark.cost, 100 * mark.score, "o", markersize=8, zorder=depth, **filled)
            axes.annotate(
                mark.name,
                (mark.cost, 100 * mark.score),
                (9, 5 if number % 2 == 0 else -14),  # neighbours are not written over each other
                textcoords="offset points",
                weight="bold" if mark.chosen else "normal",
            )
        axes.margins(x=0.3, y=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(
            lambda cost, _: format_float_positional(cost, 3, fractional=False, trim="-")
        )

    label = f"Score of {len(marks)} programs against {unit[0].lower()}{unit[1:]}"
    return _chart("quality", label, draw, "Score, %")


def search_progress(candidates: Candidates, chosen: str) -> str | None:
    """Every candidate, and the best so far, in the order of the search; None for fewer than two."""
    tried = [one for one in candidates if one["n"]][:_MOST_MARKS]
    if len(tried) < 2:
        return None
    by_calls = len({one["calls"] for one in tried}) > len(tried) / 2
    places = [one["calls"] if by_calls else one["order"] for one in tried]

    def draw(axes: Axes) -> None:
        axes.set_xlabel("Calls of the search" if by_calls else "Candidates, in the order they were done with")
        best, steps = 0.0, []
        for place, one in zip(places, tried, strict=True):
            if not one["dropped"]:
                best = max(best, one["score"])
                steps.append((place, 100 * best))
        if steps:
            steps.append((places[-1], 100 * best))
            axes.step(*zip(*steps, strict=True), where="post", color=ACCENT, linewidth=1.6)
        for place, one in zip(places, tried, strict=True):
            _mark(axes, place, one, _is_chosen(one, candidates, chosen))
        axes.margins(x=0.08, y=0.15)
        axes.locator_params(axis="x", integer=True)

    return _chart("progress", f"Dev scores of {len(tried)} candidates in the order of the search", draw)


def _costs(candidates: Candidates) -> tuple[list[tuple[float, Mapping[str, Any]]], str]:
    for field, label in (("prompt_tokens", "Prompt tokens"), ("demos", "Demonstrations in the prompt")):
        known = [(float(one[field]), one) for one in candidates if one["n"] and one.get(field) is not None]
        if len({cost for cost, _ in known}) > 1:
            return known[:_MOST_MARKS], label
    return [], ""


def _is_chosen(one: Mapping[str, Any], candidates: Candidates, chosen: str) -> bool:
    """Of several of the chosen name it is the best that was scored on all dev examples."""
    named = [it for it in candidates if it["name"] == chosen and not it["dropped"]]
    return bool(named) and one is max(named, key=lambda it: float(it["score"]))


def _mark(axes: Axes, place: float, one: Mapping[str, Any], chosen: bool) -> None:
    """A dot; hollow and pointing down where the score is only the most it could have reached."""
    score = 100 * one["score"]
    if one["dropped"]:
        axes.plot(place, score, "v", markersize=7, mfc="none", mec=MUTED, mew=1.2)
        return
    axes.plot(place, score, "o", markersize=7, color=ACCENT)
    if chosen:
        axes.plot(place, score, "o", markersize=14, mfc="none", mec=ACCENT, mew=1.8)
        axes.annotate(
            "chosen", (place, score), (0, 11), textcoords="offset points", ha="center", weight="bold"
        )


def _chart(name: str, label: str, draw: Callable[[Axes], None], height: str = "Dev score, %") -> str:
    """Draws on axes whose height is a score in percent, and returns what a page can hold."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a person's own style has no say here
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.set_ylabel(height)
        draw(axes)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -6), min(max(high, low + 10), 112))
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
        return _inline(figure, label)


def _inline(figure: Figure, label: str) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    drawing = written.getvalue()
    body = drawing[drawing.index("<svg") : drawing.rindex("</svg>")].partition(">")[2]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)  # several charts share a page, whose ids are unique
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body).replace("xlink:href", "href")
    body = re.sub(r"\s*\n\s*", " ", body)
    for colour, variable in _COLOURS.items():
        body = body.replace(colour, f"var(--{variable})")
    width, height = (72 * inches for inches in _SIZE)
    head = (
        f'<svg class="chart" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width:g} {height:g}">'
    )
    return f"{head}{body}</svg>"
