"""The notebooks' plots, each a figure of what builds measured: grey is unoptimised, green compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from examples.evidence import Answer, Build, Contender

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE, AFTER, OTHER = "#8a8f98", "#12805c", "#b9bec6"
WON, LOST, NEVER = "#12805c", "#c0392b", "#e3e6ea"
INK, MUTED, RULE = "#1c1f24", "#5b616b", "#dfe2e6"
_PARTS = {"instructions": "#264653", "demonstrations": "#2a9d8f", "question": "#e9c46a", "reply": "#e76f51"}
_STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

# Of a whole plot: texts and titles take their style when they are made.
_styled = matplotlib.rc_context


@_styled(_STYLE)
def scores(build: Build) -> Figure:
    """Everyone who answered the held-out rows, each score with its 95 % interval."""
    figure, (axes,) = _figure(1, 0.9 + 0.45 * len(build.contenders))
    for place, one in enumerate(build.contenders):
        _interval(axes, place, (one.score, one.low, one.high), _colour(one, build))
    _lines(axes, [one.name for one in build.contenders])
    _percent(axes)
    held_out = len(_answers(build, build.contenders[-1].name))
    axes.set_title(f"{build.program}: score on {held_out} held-out rows, with 95 % intervals")
    return figure


@_styled(_STYLE)
def outcomes(build: Build) -> Figure:
    """A square for each held-out row: what the compilation fixed and broke."""
    pairs = _paired(build)
    kinds = {
        "right both times": (sum(b and a for b, a in pairs), "#7fc4a8"),
        "fixed": (sum(a and not b for b, a in pairs), WON),
        "broken": (sum(b and not a for b, a in pairs), LOST),
        "wrong both times": (sum(not b and not a for b, a in pairs), NEVER),
    }
    colours = [colour for count, colour in kinds.values() for _ in range(count)]
    across = 25
    figure, (axes,) = _figure(1, 0.9 + 0.27 * -(-len(colours) // across))
    for place, colour in enumerate(colours):
        axes.plot(place % across, -(place // across), "s", color=colour, markersize=12)
    for kind, (count, colour) in kinds.items():
        axes.plot([], [], "s", color=colour, label=f"{kind}: {count}")
    axes.set_xlim(-0.7, across - 0.3)
    axes.set_ylim(-(len(colours) - 1) // across - 0.2, 0.7)
    axes.set_axis_off()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, handletextpad=0.2, columnspacing=1.2)
    axes.set_title(f"{build.program}: {len(colours)} held-out rows, unoptimised against compiled")
    return figure


@_styled(_STYLE)
def parts(build: Build) -> Figure:
    """The score by the parts of the metric, before and after. A reply that can't be read has none of them."""
    ends = {one.name: one.parts for one in (build.contenders[0], build.contenders[-1])}
    names = dict.fromkeys(name for told in ends.values() for name in told)
    if not names:
        return _note(f"{build.program}: no reply could be read, so the metric's parts have no score")
    named = {name: {who: told.get(name, 0.0) for who, told in ends.items()} for name in names}
    return _pairs(named, f"{build.program}: score by part of the metric")


@_styled(_STYLE)
def kinds(build: Build, label: str) -> Figure:
    """The score by the value of one of the rows' own fields, before and after."""
    ends = (build.contenders[0].name, build.contenders[-1].name)
    named: dict[str, dict[str, float]] = {}
    for kind in sorted({str(answer.expected[label]) for answer in build.answers}):
        of_kind = {
            who: [it.score for it in _answers(build, who) if str(it.expected[label]) == kind] for who in ends
        }
        name = f"{kind.replace('_', ' ')} ({len(of_kind[ends[0]])})"
        named[name] = {who: mean(found) for who, found in of_kind.items()}
    return _pairs(named, f"{build.program}: score by {label} (rows)")


@_styled(_STYLE)
def tokens(*builds: Build) -> Figure:
    """What a call is made of, unoptimised and compiled: the price of the demonstrations."""
    several = len(builds) > 1
    lengths = {
        f"{build.program}, {name}" if several else name: length
        for build in builds
        for name, length in (("zero-shot", build.before), ("compiled", build.after))
    }
    figure, (axes,) = _figure(1, 1.4 + 0.4 * len(lengths))
    for place, length in enumerate(lengths.values()):
        left = 0.0
        for part, colour in _PARTS.items():
            size = getattr(length, part)
            axes.barh(place, size, left=left, color=colour, height=0.6, label=None if place else part)
            left += size
        axes.text(left, place, f" {left:,.0f}", va="center")
    _lines(axes, lengths)
    axes.margins(x=0.1)
    axes.set_xlabel("tokens, on average of the held-out rows")
    figure.legend(loc="outside lower center", ncols=4)
    axes.set_title("Tokens of a call" if several else f"{builds[0].program}: tokens of a call")
    return figure


@_styled(_STYLE)
def requests(build: Build) -> Figure:
    """How long the compiled program's requests are."""
    sizes = [answer.prompt_tokens for answer in _answers(build, build.contenders[-1].name)]
    figure, (axes,) = _figure(1, 2.4)
    axes.hist(sizes, bins=20, color=AFTER, rwidth=0.92)
    axes.margins(y=0.2)
    axes.axvline(mean(sizes), color=INK, linewidth=1)
    axes.text(mean(sizes), axes.get_ylim()[1], f" mean {mean(sizes):,.0f}", va="top")
    axes.set_xlabel("tokens of a compiled request")
    axes.set_ylabel("held-out rows")
    axes.locator_params(axis="y", integer=True)
    axes.set_title(f"{build.program}: requests are as long as what they bring")
    return figure


@_styled(_STYLE)
def words(build: Build, output: str) -> Figure:
    """How many words the answers have, beside those of the labels."""
    first, last = build.contenders[0].name, build.contenders[-1].name
    told = {
        "labels": [_count(it.expected[output]) for it in _answers(build, last)],
        first: [_count(it.outputs[output]) for it in _answers(build, first) if output in it.outputs],
        last: [_count(it.outputs[output]) for it in _answers(build, last) if output in it.outputs],
    }
    most = max(max(counts, default=0) for counts in told.values())
    figure, panels = _figure(1, 3.6, rows=3)
    for axes, (name, counts), colour in zip(panels, told.items(), (INK, BEFORE, AFTER), strict=True):
        axes.hist(counts, bins=24, range=(0, most + 1), color=colour, rwidth=0.92)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.locator_params(axis="y", integer=True, nbins=3)
        if not counts:
            axes.text(0.5, 0.5, "no reply could be read", transform=axes.transAxes, ha="center", color=MUTED)
            axes.set_yticks([])
    panels[0].set_title(f"{build.program}: words in {output!r}")
    panels[-1].set_xlabel("words")
    return figure


@_styled(_STYLE)
def changes(builds: Sequence[Build]) -> Figure:
    """From the unoptimised to the compiled score, program by program."""
    figure, (axes,) = _figure(1, 1.2 + 0.45 * len(builds))
    for place, build in enumerate(builds):
        first, last = build.contenders[0], build.contenders[-1]
        axes.plot([first.score, last.score], [place, place], color=RULE, linewidth=3, zorder=1)
        for one, colour in ((first, BEFORE), (last, AFTER)):
            label = None if place else one.name
            axes.plot(one.score, place, "o", color=colour, markersize=9, linestyle="", label=label)
    _lines(axes, [build.program for build in builds])
    _percent(axes)
    figure.legend(loc="outside lower center", ncols=2)
    axes.set_title("Score on the held-out rows")
    return figure


@_styled(_STYLE)
def comparison(builds: Sequence[Build]) -> Figure:
    """Gain with its 95 % interval, USD for 1,000 answers and median seconds of one, program by program."""
    figure, (gain, usd, seconds) = _figure(3, 1.2 + 0.5 * len(builds))
    for place, build in enumerate(builds):
        told, ends = build.gain, (build.contenders[0], build.contenders[-1])
        colour = AFTER if told.low > 0 else LOST if told.high < 0 else BEFORE
        _interval(gain, place, (told.points, told.low, told.high), colour, sign="+")
        _pair(usd, place, {one.name: 1000 * (one.usd or 0.0) for one in ends})
        _pair(seconds, place, {one.name: one.seconds for one in ends})
    gain.axvline(0, color=INK, linewidth=0.8, zorder=0)
    gain.margins(x=0.15)
    gain.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.0f}")
    titles = ("Gain in points", "USD for 1,000 answers", "Median seconds")
    for axes, title in zip((gain, usd, seconds), titles, strict=True):
        _lines(axes, [build.program for build in builds] if axes is gain else [""] * len(builds))
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(title)
    figure.legend(*usd.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _figure(columns: int, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure that is nobody's current one, so that it is shown once: where a cell ends with it."""
    figure = Figure(figsize=(7.6, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=rows > 1).flat)


def _note(text: str) -> Figure:
    figure, (axes,) = _figure(1, 0.6)
    axes.set_axis_off()
    axes.text(0, 0.5, text, va="center")
    return figure


def _interval(
    axes: Axes, place: float, told: tuple[float, float, float], colour: str, sign: str = ""
) -> None:
    """A dot with its interval, and the number above it."""
    value, low, high = told
    axes.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="round")
    axes.plot(value, place, "o", color=colour, markersize=8)
    shown = f"{100 * value:{sign}.1f}" + ("" if sign else " %")
    axes.annotate(shown, (value, place), (0, 6), textcoords="offset points", ha="center", fontsize=9)


def _pairs(named: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Two bars for each name, one for each contender."""
    figure, (axes,) = _figure(1, 1.0 + 0.5 * len(named))
    for place, values in enumerate(named.values()):
        _pair(axes, place, values)
        for shift, value in zip((-0.2, 0.2), values.values(), strict=True):
            axes.text(value, place + shift, f" {100 * value:.0f}", va="center", fontsize=8, color=MUTED)
    _lines(axes, named)
    _percent(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.set_title(title)
    return figure


def _pair(axes: Axes, place: int, values: Mapping[str, float]) -> None:
    for shift, colour, (who, value) in zip((-0.2, 0.2), (BEFORE, AFTER), values.items(), strict=True):
        axes.barh(place + shift, value, height=0.36, color=colour, label=None if place else who)


def _lines(axes: Axes, names: Iterable[str]) -> None:
    """Names one below the other, the first on top."""
    named = list(names)
    axes.set_yticks(range(len(named)), named)
    axes.set_ylim(len(named) - 0.4, -0.6)


def _percent(axes: Axes) -> None:
    axes.set_xlim(-0.03, 1.05)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(axis="x", color=RULE, linewidth=0.6)


def _colour(one: Contender, build: Build) -> str:
    if one is build.contenders[-1]:
        return AFTER
    return BEFORE if one is build.contenders[0] else OTHER


def _answers(build: Build, contender: str) -> list[Answer]:
    return [answer for answer in build.answers if answer.contender == contender]


def _paired(build: Build) -> list[tuple[bool, bool]]:
    """Of each row, whether the unoptimised and the compiled program were right: a score of 0.5 or more."""
    before, after = (
        {it.row: it.score >= 0.5 for it in _answers(build, build.contenders[end].name)} for end in (0, -1)
    )
    return [(before[row], after[row]) for row in before]


def _count(text: object) -> int:
    return len(str(text).split())
