"""What a build tells while it runs; terminal, log lines, MLflow and web pages are readers of this stream.

Plain frozen data: knows nothing of how it is shown, and nothing below a build prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stage = Literal["load", "check", "estimate", "optimise", "lower", "baseline", "score", "decide", "write"]
STAGES: tuple[Stage, ...] = (
    "load", "check", "estimate", "optimise", "lower", "baseline", "score", "decide", "write",
)  # fmt: skip


@dataclass(frozen=True)
class ScoreSummary:
    """Scores of one program on the held-out examples.

    `low` and `high` bound the mean with 95 % confidence. `unparseable` replies could not be read, `cut` ones
    hit the token limit, `errors` are examples on which the program or the metric failed; all three score 0.
    Tokens and USD are means; None where the engine counts no tokens or its price is unknown.
    """

    mean: float
    n: int
    low: float
    high: float
    unparseable: int
    errors: int
    tokens_per_answer: float | None
    """Completion tokens."""
    usd_per_answer: float | None
    cut: int = 0
    prompt_tokens_per_answer: float | None = None


@dataclass(frozen=True)
class PairedTest:
    """Compiled against unoptimised on the same examples; `difference` is a mean with its 95 % interval."""

    difference: float
    low: float
    high: float
    p: float
    n: int
    won: int
    lost: int
    test: Literal["mcnemar", "sign-flip"]


@dataclass(frozen=True)
class Spent:
    """All that the build has used so far, also before an interruption; `usd` is None if unknown."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    seconds: float


@dataclass(frozen=True)
class Began:
    """The first event: the build's id, which resumes it should it be interrupted."""

    build_id: str
    resumed: bool = False


@dataclass(frozen=True)
class StageStarted:
    stage: Stage
    total: int | None = None
    """Examples that the stage will score at most, where that is known."""


@dataclass(frozen=True)
class Scored:
    """One more example is done; `score` is the mean so far."""

    stage: Stage
    done: int
    total: int
    score: float | None = None
    candidate: str | None = None


@dataclass(frozen=True)
class CandidateScored:
    """A candidate is done with; of a dropped one `score` is the most it could still have reached."""

    name: str
    score: float
    n: int
    best: bool
    dropped: bool


@dataclass(frozen=True)
class Estimated:
    """About what the build will take; `usd` is None where the price is unknown."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    usd: float | None


@dataclass(frozen=True)
class Log:
    text: str


@dataclass(frozen=True)
class BuildResult:
    """What the build came to. `reason` says why the release is interpreted, None when it is a plan."""

    program: str
    version: str
    build_id: str
    path: Path
    baseline: ScoreSummary
    compiled: ScoreSummary
    difference: PairedTest
    alias: Literal["champion", "candidate"]
    lowered: bool
    reason: str | None
    weak: bool
    """Under 100 test rows: the interval is wide."""
    proven: bool
    """The gain is positive and p is below 0.05."""
    seconds: float
    spent: Spent
    optimizer: str


@dataclass(frozen=True)
class Finished:
    result: BuildResult


Event = Began | StageStarted | Scored | CandidateScored | Estimated | Spent | Log | Finished
