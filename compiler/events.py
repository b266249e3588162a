"""What a build tells while it runs; terminal, log lines, MLflow and web pages are readers of this stream.

Plain frozen data: knows nothing of how it is shown, and nothing below a build prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from programs.release import Kind

Role = Literal["student", "teacher", "proposer"]
ContenderName = Literal["zero-shot", "manual few-shot", "teacher", "champion", "compiled"]
Stage = Literal["load", "check", "estimate", "optimise", "lower", "baseline", "score", "decide", "write"]
STAGES: tuple[Stage, ...] = (
    "load", "check", "estimate", "optimise", "lower", "baseline", "score", "decide", "write",
)  # fmt: skip


@dataclass(frozen=True)
class ScoreSummary:
    """Scores of one program on the held-out examples.

    `low` and `high` bound the mean with 95 % confidence. `unparseable` replies could not be read, `cut` ones
    hit the token limit, `errors` are examples on which the program or the metric failed, `unchecked` answers
    fail a declared check, `too_long` prompts do not fit the window, `refused` ones the engine would not
    answer; all of them score 0. Tokens and USD are means, seconds are quantiles over answers; None where the
    engine counts no tokens, its price is unknown or nothing was answered.
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
    unchecked: int = 0
    too_long: int = 0
    refused: int = 0
    seconds_p50: float | None = None
    seconds_p95: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """Means of a weighted metric's parts, by their names."""


@dataclass(frozen=True)
class PairedTest:
    """Two programs on the same examples; `difference` is a mean with its 95 % interval, second less first."""

    difference: float
    low: float
    high: float
    p: float
    n: int
    won: int
    lost: int
    test: Literal["mcnemar", "sign-flip"]


@dataclass(frozen=True)
class PhaseSpent:
    """What one phase of a build took of one model, which is known by its role."""

    phase: Stage
    role: Role
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    seconds: float
    """Sum over the calls, which overlap."""


@dataclass(frozen=True)
class Spent:
    """All that the build has used so far, also before an interruption; `usd` is None if unknown."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    seconds: float
    phases: tuple[PhaseSpent, ...] = ()


@dataclass(frozen=True)
class Began:
    """The first event: the build's id, which resumes it should it be interrupted."""

    build_id: str
    resumed: bool = False


@dataclass(frozen=True)
class Described:
    """Everything that could change the result, known once the examples are loaded: one value by one name."""

    parameters: Mapping[str, object]


@dataclass(frozen=True)
class StageStarted:
    stage: Stage
    total: int | None = None
    """Examples that the stage will score at most, where that is known."""
    contender: ContenderName | None = None
    """Whom of those that are measured on the test examples."""


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
    """A candidate is done with; of a dropped one `score` is the most it could still have reached.

    `prompt_tokens` is the constant part of its prompt, None where no one could count it.
    """

    name: str
    score: float
    n: int
    best: bool
    dropped: bool
    prompt_tokens: int | None = None
    demos: int = 0


@dataclass(frozen=True)
class Estimated:
    """About what the build will take; `usd` is None where the price is unknown."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    usd: float | None
    phases: tuple[PhaseSpent, ...] = ()


@dataclass(frozen=True)
class Log:
    text: str


@dataclass(frozen=True)
class Contender:
    """One program on the test examples; `against` compares it, first, with the compiled one, second.

    `corrected_p` is `against.p` after Holm's correction over all comparisons of the build.
    """

    name: ContenderName
    summary: ScoreSummary
    against: PairedTest | None = None
    corrected_p: float | None = None
    what: str | None = None
    """Which one it is, where its name leaves that open."""
    release: str | None = None
    """Its name with its version, of a champion."""


@dataclass(frozen=True)
class Look:
    """Test examples were asked: by a build, an evaluation or a comparison, whose id is `by`."""

    program: str
    by: str
    at: str


@dataclass(frozen=True)
class Duplicated:
    """Test rows that nearly are training or dev rows; `without` is the compiled program's score on the rest.

    `without` is None where no row is left.
    """

    rows: int
    share: float
    without: ScoreSummary | None


@dataclass(frozen=True)
class Failure:
    """One example on which the compiled program fails, as a person reads it; `id` is its scorecard's."""

    id: int
    inputs: str
    expected: str
    got: str
    feedback: str


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one kind: how many there are, and a few of them."""

    kind: str
    count: int
    examples: tuple[Failure, ...]


@dataclass(frozen=True)
class Changed:
    """Examples that score higher, or lower, than without the compilation: how many, and the first ids."""

    count: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Analysis:
    """Why the compiled program fails where it does, and what the compilation changed."""

    groups: tuple[FailureGroup, ...]
    fixed: Changed
    broke: Changed


@dataclass(frozen=True)
class Disagreement:
    """A compiled answer as metric and second opinion see it; `id` is its scorecard's."""

    id: int
    score: float
    opinion: float
    inputs: str
    got: str
    remark: str


@dataclass(frozen=True)
class Apart:
    """Answers on which the two disagree in one direction: how many, and the worst of them."""

    count: int
    examples: tuple[Disagreement, ...]


@dataclass(frozen=True)
class SecondOpinion:
    """What another metric says of the test answers that the program's own has scored.

    `before` and `after` are means over all rows, a reply that could not be read or judged counting 0; what is
    compared with the metric are the `n` compiled answers that both could look at.
    """

    metric: str
    judge: str
    before: float
    after: float
    difference: PairedTest
    n: int
    correlation: float | None
    """Spearman's; None where one of the two is the same for all."""
    only_metric: Apart
    """High by the metric, low by the second opinion."""
    only_opinion: Apart
    unjudged: int


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
    alias: Literal["champion", "candidate"] | None
    """None where the build was to leave the aliases as they were."""
    kind: Kind
    """What the release holds: one prompt, several forms of them, or the state of a program that DSPy runs."""
    reason: str | None
    weak: bool
    """Under 100 test rows: the interval is wide."""
    proven: bool
    """The gain is positive and p is below 0.05."""
    seconds: float
    spent: Spent
    optimizer: str
    contenders: tuple[Contender, ...] = ()
    """All that was scored beside each other, the compiled program last."""
    stopped: str | None = None
    """Why the search ended before it was through: a ceiling, or the target; None when it ended by itself."""
    concurrency: int | None = None
    """Calls in flight at most while latencies were measured."""
    looks: tuple[Look, ...] = ()
    """Earlier ones at the same test examples."""
    duplicated: Duplicated | None = None
    """None where no test row is nearly a training or dev row."""
    analysis: Analysis | None = None
    second_opinion: SecondOpinion | None = None
    """None where the program wants none, or nobody could give one."""

    @property
    def lowered(self) -> bool:
        return self.kind != "interpreted"


@dataclass(frozen=True)
class Finished:
    result: BuildResult


Event = Began | Described | StageStarted | Scored | CandidateScored | Estimated | Spent | Log | Finished
