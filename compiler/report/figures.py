"""What a finished build measured, as flat metrics; reads its `build.json` and nothing else.

The main ones have plain names, so that a filter is easy to type; what belongs to one contender or one phase
lies under its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Figures = Iterator[tuple[str, Any]]
_NO_NAME = re.compile(r"[^\w.:-]+")
_LONGEST = 150
_SPENT = ("calls", "prompt_tokens", "completion_tokens", "usd", "seconds")


def figures_of(build: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value; what was not measured is left out."""
    found = [*_main(build.get("scores", {})), *_spent(build.get("spent", {}))]
    found.append(("build_seconds", build.get("seconds")))
    for contender in contenders_of(build):
        found += _contender(contender)
    return {name: float(value) for name, value in found if isinstance(value, int | float)}


def contenders_of(build: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """All programs that were scored beside each other; of an older build, the two that there always are."""
    if build.get("contenders"):
        return list(build["contenders"])
    scores = build.get("scores", {})
    pairs = (("zero-shot", "before", scores.get("difference")), ("compiled", "after", None))
    return [
        {"name": name, "summary": scores[key], "against": against}
        for name, key, against in pairs
        if key in scores
    ]


def slug(name: str) -> str:
    """A contender's name as a part of a metric's."""
    return name.replace("-", "_").replace(" ", "_")


def _plain(part: str) -> str:
    """A part's name without what MLflow takes in no name: `token_f1(answer)` as `token_f1_answer`."""
    return _NO_NAME.sub("_", part)[:_LONGEST].strip("_.") or "part"


def _main(scores: Mapping[str, Any]) -> Figures:
    before, after, test = (scores.get(name, {}) for name in ("before", "after", "difference"))
    for prefix, summary in (("test", after), ("baseline", before)):
        yield f"{prefix}_score", summary.get("mean")
        yield f"{prefix}_score_low", summary.get("low")
        yield f"{prefix}_score_high", summary.get("high")
    yield "test_n", after.get("n")
    yield "gain", test.get("difference")
    yield "gain_low", test.get("low")
    yield "gain_high", test.get("high")
    yield "p", test.get("p")
    yield "prompt_tokens_per_answer", after.get("prompt_tokens_per_answer")
    yield "completion_tokens_per_answer", after.get("tokens_per_answer")
    yield "usd_per_answer", after.get("usd_per_answer")
    yield "seconds_p50", after.get("seconds_p50")
    yield "seconds_p95", after.get("seconds_p95")


def _contender(contender: Mapping[str, Any]) -> Figures:
    name = slug(contender["name"])
    for key, value in contender["summary"].items():
        if key == "parts":
            yield from ((f"{name}/parts/{_plain(part)}", mean) for part, mean in value.items())
        else:
            yield f"{name}/{_SCORE.get(key, key)}", value
    against = contender.get("against") or {}
    yield f"{name}/compiled_gains", against.get("difference")
    yield f"{name}/compiled_gains_low", against.get("low")
    yield f"{name}/compiled_gains_high", against.get("high")
    yield f"{name}/p", against.get("p")
    yield f"{name}/p_corrected", contender.get("corrected_p")


_SCORE = {
    "mean": "score",
    "low": "score_low",
    "high": "score_high",
    "tokens_per_answer": "completion_tokens_per_answer",
}


def _spent(spent: Mapping[str, Any]) -> Figures:
    """All that the build took, and what each phase took of each model."""
    for name in _SPENT[:-1]:
        yield name, spent.get(name)
    for phase in spent.get("phases") or ():
        for name in _SPENT:
            yield f"spent/{phase['phase']}/{phase['role']}/{name}", phase.get(name)
