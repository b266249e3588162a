"""A study as a picture: score against USD per 1,000 answers, a panel for each task, the Pareto front drawn.

Rows differ by marker as well as by colour, and those on the front are filled, so that print and the
colour-blind have all of it. Only what the study measured is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.study_rows import BELOW_COST, LEAST_SHARE, Row, TaskRows
from benchmarks.study_share import Point, pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, RULE, GOAL_TINT = "#111111", "#555555", "#cccccc", "#e9f3ee"
Marker = str | tuple[int, int, int]
_STYLES: Mapping[str, tuple[Marker, str]] = {
    "reference, zero-shot": ("*", INK),
    "reference, manual few-shot": ("P", INK),
    "zero-shot": ("o", MUTED),
    "manual few-shot": ("s", MUTED),
    "LabeledFewShot": ("^", "#0072b2"),
    "BootstrapFewShot": ("v", "#0072b2"),
    "BootstrapFewShotWithRandomSearch": ("D", "#0072b2"),
    "KNNFewShot": ("<", "#009e73"),
    "Ensemble": (">", "#009e73"),
    "COPRO": ("h", "#d55e00"),
    "MIPROv2": ("X", "#d55e00"),
    "SIMBA": ((4, 1, 0), "#d55e00"),
    "GEPA": ("d", "#cc79a7"),
    "BetterTogether": ((6, 1, 0), "#cc79a7"),
}
"""Marker and colour; the colours are those of Okabe and Ito, which the colour-blind tell apart."""
_OTHER: tuple[Marker, str] = ("p", "#e69f00")
_METADATA: Mapping[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}
_COLUMNS = 2
_PANEL = (3.6, 2.9)  # inches
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


class Drawn(NamedTuple):
    """A row with its place; `usd` is above 0."""

    name: str
    row: Row
    place: Point


def drawn(found: TaskRows) -> list[Drawn]:
    """The rows that have a place: measured, at a known price."""
    placed = []
    for row in found.rows:
        usd = row.usd_per_1000
        if row.measured is not None and usd is not None and usd > 0:
            placed.append(Drawn(row.who, row, Point(usd, 100 * row.measured.summary.mean)))
    return placed


def unplaced(found: TaskRows) -> list[str]:
    """Rows that were measured but have no place, since nobody told a price."""
    placed = {it.name for it in drawn(found)}
    return [row.who for row in found.rows if row.measured is not None and row.who not in placed]


def goal_of(found: TaskRows) -> Point | None:
    """The corner that bounds the goal; None where the reference scores nothing, or its price is unknown."""
    standard = found.standard
    if standard is None or standard.measured is None or standard.usd_per_1000 is None:
        return None
    score = standard.measured.summary.mean
    return Point(BELOW_COST * standard.usd_per_1000, 100 * LEAST_SHARE * score) if score else None


def plot(tasks: Sequence[TaskRows], *paths: Path) -> None:
    """Writes the picture to every path, in the format that its ending says."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(_COLUMNS, max(1, len(tasks)))
    lines = max(1, math.ceil(len(tasks) / columns))
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a person's own style has no say here
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": "study"})
        names = dict.fromkeys(it.name for found in tasks for it in drawn(found))
        legend_lines = math.ceil((len(names) + 2) / 3)
        height = lines * _PANEL[1] + 0.2 * legend_lines + 0.3
        figure = Figure(figsize=(max(columns * _PANEL[0], 6.4), height), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(lines, columns, squeeze=False).flatten()
        for panel in panels[len(tasks) :]:
            panel.set_axis_off()
        for panel, found in zip(panels, tasks, strict=False):
            _panel(panel, found)
        handles = [_handle(name) for name in names]
        if names:
            handles.append(Line2D([], [], color=INK, linewidth=1.2, label="Pareto front (filled: on it)"))
            if any(goal_of(found) is not None for found in tasks):
                handles.append(Line2D([], [], color="#7aa890", linewidth=6, alpha=0.5, label="goal reached"))
            figure.legend(handles=handles, loc="outside lower center", ncols=3)
        for path in paths:
            figure.savefig(path, dpi=120, metadata=_METADATA.get(path.suffix, {}))


def _panel(axes: Axes, found: TaskRows) -> None:
    axes.set_title(found.task, loc="left", weight="bold")
    axes.set_ylabel("Score, %")
    axes.set_xlabel("USD per 1,000 answers")
    placed = drawn(found)
    left = unplaced(found)
    if left or not placed:
        told = f"price unknown: {_listed(left)}" if left else "nothing measured"
        axes.text(
            0.99, 0.02, told, transform=axes.transAxes, ha="right", va="bottom", color=MUTED, fontsize=6.5
        )
    if not placed:
        axes.set_xticks([])
        axes.set_ylim(0, 100)
        return
    axes.set_xscale("log")
    front = pareto_front([(it, it.place) for it in placed])
    on_front = {it.name for it, _ in front}
    for it in placed:
        _mark(axes, it, it.name in on_front)
    low, high = (bound(it.place.cost for it in placed) for bound in (min, max))
    reach = max((high / low) ** 0.12, 1.25)
    axes.set_xlim(low / reach, high * reach)
    _scale(axes, placed)
    costs, scores = [point.cost for _, point in front], [point.score for _, point in front]
    axes.step([*costs, high * reach], [*scores, scores[-1]], where="post", color=INK, linewidth=1.2, zorder=2)
    _goal(axes, found)
    _ticks(axes, high / low)


def _mark(axes: Axes, it: Drawn, filled: bool) -> None:
    assert it.row.measured is not None
    cost, score = it.place
    _, colour = _style(it.name)
    summary = it.row.measured.summary
    # A bound may differ from the score in the last digit only, to the wrong side.
    bars = [[max(0.0, score - 100 * summary.low)], [max(0.0, 100 * summary.high - score)]]
    axes.errorbar(cost, score, yerr=bars, ecolor=colour, elinewidth=0.8, alpha=0.55, zorder=3)
    axes.plot(cost, score, zorder=4, **_look(it.name, filled))


def _scale(axes: Axes, placed: Sequence[Drawn]) -> None:
    """Scores from the lowest bar to the highest, with some air, inside 0 to 100."""
    summaries = [it.row.measured.summary for it in placed if it.row.measured is not None]
    low, high = 100 * min(it.low for it in summaries), 100 * max(it.high for it in summaries)
    air = max(4.0, 0.08 * (high - low))
    axes.set_ylim(max(-2.0, low - air), min(103.0, high + air))


def _goal(axes: Axes, found: TaskRows) -> None:
    """Where a row has to lie to reach the goal, if there is such a place."""
    goal = goal_of(found)
    if goal is None:
        return
    right, bottom = goal
    (left, end), (_, top) = axes.get_xlim(), axes.get_ylim()
    axes.axhline(bottom, color="#7aa890", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    if right > left:
        axes.axvline(right, color="#7aa890", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        axes.fill_between([left, min(right, end)], bottom, top, color=GOAL_TINT, zorder=0, linewidth=0)
    axes.set_xlim(left, end)


def _ticks(axes: Axes, span: float) -> None:
    """Plain numbers; where all lie close together, a few between the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if span < 5:
        # A logarithmic locator finds too few here, and then sets far too many.
        axes.xaxis.set_major_locator(MaxNLocator(4))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if span > 30 else (1.0, 2.0, 5.0), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _style(name: str) -> tuple[Marker, str]:
    return _STYLES.get(name, _OTHER)


def _look(name: str, filled: bool) -> dict[str, Any]:
    marker, colour = _style(name)
    size = 10 if marker == "*" or isinstance(marker, tuple) else 7
    inside = colour if filled else "white"
    return {
        "marker": marker, "markersize": size, "mec": colour, "mfc": inside, "mew": 1.1, "linestyle": "none",
    }  # fmt: skip


def _handle(name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=name, **_look(name, filled=False))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
