"""What a build's scores come to: a gain, proven or not; champion or candidate; enough or too little."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import TargetMissed
from compiler.evaluation.analysis import analyse
from compiler.evaluation.answers import summarise
from compiler.evaluation.contenders import Tested
from compiler.evaluation.statistics import holm, paired_test
from compiler.events import BuildResult, Contender, Spent
from compiler.evidence import Findings
from compiler.publication import Draft, alias_for
from compiler.request import BuildRequest

SIGNIFICANCE = 0.05


def decide(
    request: BuildRequest, build_id: str, draft: Draft, findings: Findings, spent: Spent, seconds: float
) -> BuildResult:
    """The first release of a program becomes its champion whatever the gain, a later one the candidate."""
    before, after = ([answer.score for answer in side] for side in (findings.before, findings.after))
    difference = paired_test(before, after, request.seed)
    version, lowered = draft.identity.version, findings.lowered
    return BuildResult(
        program=request.program.name,
        version=version,
        build_id=build_id,
        path=request.releases / request.program.name / version,
        baseline=summarise(findings.before, request.seed),
        compiled=summarise(findings.after, request.seed),
        difference=difference,
        alias=alias_for(request.releases, draft.identity, request.keep_aliases),
        kind=lowered.kind,
        reason=lowered.reason,
        weak=findings.parts.weak,
        proven=difference.difference > 0 and difference.p < SIGNIFICANCE,
        seconds=seconds,
        spent=spent,
        optimizer=findings.optimizer["name"],
        contenders=compare(findings.tested, request.seed),
        stopped=findings.stopped,
        concurrency=request.concurrency,
        looks=tuple(findings.looks),
        duplicated=findings.duplicates.scored(findings.after, request.seed),
        analysis=analyse(findings.parts.test, findings.before, findings.after),
        second_opinion=findings.opinions and findings.opinions.summary,
    )


def compare(tested: Sequence[Tested], seed: int) -> tuple[Contender, ...]:
    """Every contender, each but the last compared with the last, which is the compiled program."""
    compiled = [answer.score for answer in tested[-1].answers]
    tests = [paired_test([answer.score for answer in one.answers], compiled, seed) for one in tested[:-1]]
    corrected = holm([test.p for test in tests])
    others = [
        Contender(one.name, summarise(one.answers, seed), test, p, one.what, one.release)
        for one, test, p in zip(tested[:-1], tests, corrected, strict=True)
    ]
    return (*others, Contender(tested[-1].name, summarise(tested[-1].answers, seed)))


def refuse_below(request: BuildRequest, result: BuildResult) -> None:
    """Raises TargetMissed when the score or the gain is below what was asked for."""
    score, gain = result.compiled.mean, result.difference.difference
    if request.target is not None and score < request.target:
        wanted = f"below the target {request.target:g}"
        raise TargetMissed(f"{result.program} scores {score:.3f} on the test examples, {wanted}")
    if request.required_gain is not None and gain < request.required_gain:
        wanted = f"below the required {request.required_gain:g}"
        raise TargetMissed(f"{result.program} gains {gain:+.3f} on the test examples, {wanted}")
