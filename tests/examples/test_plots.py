from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from examples import plots
from examples.evidence import Build


def names(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text().strip() for axes in figure.axes for text in axes.texts]


def legend(axes: Axes) -> list[str]:
    return [str(label) for label in axes.get_legend_handles_labels()[1]]


def test_every_contender_stands_with_its_score(evidence: Build) -> None:
    figure = plots.scores(evidence)
    assert names(figure.axes[0]) == [one.name for one in evidence.contenders]
    assert texts(figure) == [f"{100 * one.score:.1f} %" for one in evidence.contenders]


def test_outcomes_count_each_row_once(evidence: Build) -> None:
    axes = plots.outcomes(evidence).axes[0]
    assert legend(axes) == ["right both times: 20", "fixed: 20", "broken: 0", "wrong both times: 0"]
    assert len(axes.lines) == 40 + len(legend(axes))


def test_parts_of_the_score_stand_beside_each_other(evidence: Build) -> None:
    axes = plots.parts(evidence).axes[0]
    assert names(axes) == ["exact_match(answer)", "token_f1(answer)"]
    assert widths(axes) == [0.5, 1.0, 0.5, 1.0] and legend(axes) == ["zero-shot", "compiled"]


def test_without_a_readable_reply_the_plots_say_so(evidence: Build) -> None:
    mute = replace(
        evidence,
        contenders=[replace(one, parts={}) for one in evidence.contenders],
        answers=[replace(answer, outputs={}) for answer in evidence.answers],
    )
    assert "no reply could be read" in texts(plots.parts(mute))[0]
    assert texts(plots.words(mute, "answer")) == ["no reply could be read"] * 2


def test_kinds_of_rows_are_scored_apart(evidence: Build) -> None:
    lengths = [
        replace(it, expected={**it.expected, "kind": "odd_sum" if it.row % 2 else "even"})
        for it in evidence.answers
    ]
    axes = plots.kinds(replace(evidence, answers=lengths), "kind").axes[0]
    assert names(axes) == ["even (20)", "odd sum (20)"]
    assert widths(axes)[1::2] == [1.0, 1.0]


def test_tokens_add_up_to_what_a_call_takes(evidence: Build) -> None:
    figure = plots.tokens(evidence, replace(evidence, program="other"))
    assert names(figure.axes[0])[:2] == ["sums, zero-shot", "sums, compiled"]
    parts = (evidence.after.instructions, evidence.after.demonstrations)
    total = sum(parts) + evidence.after.question + evidence.after.reply
    assert texts(figure)[1] == texts(figure)[3] == f"{total:,.0f}"


def test_requests_and_words_are_counted_row_by_row(evidence: Build) -> None:
    assert sum(bar.get_height() for bar in plots.requests(evidence).axes[0].patches) == 40  # type: ignore[attr-defined]
    for axes in plots.words(evidence, "answer").axes:
        assert sum(bar.get_height() for bar in axes.patches) == 40  # type: ignore[attr-defined]


def test_programs_stand_side_by_side_with_gain_cost_and_latency(evidence: Build) -> None:
    figure = plots.comparison([evidence, replace(evidence, program="other")])
    assert [axes.get_title("left") for axes in figure.axes] == [
        "Gain in points",
        "USD for 1,000 answers",
        "Median seconds",
    ]
    assert names(figure.axes[0]) == ["sums", "other"] and texts(figure) == ["+50.0", "+50.0"]
    assert names(plots.changes([evidence]).axes[0]) == ["sums"]
