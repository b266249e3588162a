"""Cells of a study for tests: scores by how many of 100 rows are right."""

from __future__ import annotations

from benchmarks.study_cells import PLAIN, REFERENCE, Built, Cell, Measured
from compiler.evaluation.statistics import mean_interval, paired_test
from compiler.events import ScoreSummary

N = 100
AT = "2026-01-01T00:00:00+00:00"


def measured(name: str, right: float, usd: float | None) -> Measured:
    """The first rows are right, so that two programs are right on the same rows as far as they can be."""
    scores = tuple(float(number < round(right * N)) for number in range(N))
    found = mean_interval(scores)
    summary = ScoreSummary(
        found.mean, N, found.low, found.high, unparseable=0, errors=0, tokens_per_answer=20.0,
        usd_per_answer=usd, prompt_tokens_per_answer=100.0, seconds_p50=0.1, seconds_p95=0.3,
    )  # fmt: skip
    return Measured(name, summary, scores)


def plain_cell(zero: float, few: float, usd: float | None = 0.00001) -> Cell:
    found = [measured("zero-shot", zero, usd), measured("manual few-shot", few, usd)]
    return Cell("sums", PLAIN, "done", AT, 1.0, {}, (*found, measured("compiled", zero, usd)))


def reference_cell(zero: float, few: float, usd: float | None = 0.001) -> Cell:
    dearer = None if usd is None else 2 * usd
    found = (measured("zero-shot", zero, usd), measured("manual few-shot", few, dearer))
    return Cell("sums", REFERENCE, "done", AT, 1.0, {}, found)


def build_cell(name: str, right: float, usd: float | None = 0.00002, stopped: str | None = None) -> Cell:
    found = measured("compiled", right, usd)
    gain = paired_test([0.0] * N, found.scores)
    built = Built(name, "sums@1", name, "plan", 100, usd, 1.0, gain, stopped)
    return Cell("sums", name, "done", AT, 1.0, {}, (found,), built)


def failed(name: str, reason: str) -> Cell:
    return Cell("sums", name, "failed", AT, 1.0, {}, reason=reason)
