"""One build, top to bottom: a program and its examples become a measured release.

Yields events; prints nothing. Cancelling it leaves a ledger that the same build id resumes from, and no
release.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import dspy

from compiler.bench import Bench, Crew, Pace, Subject
from compiler.candidate import PLAIN
from compiler.cost import accounts
from compiler.decision import decide, refuse_below
from compiler.errors import OnlyEstimated
from compiler.estimate import describe_cut, estimate, foresee, refuse_unpriced, reserve
from compiler.evaluation.contenders import Paddock, count_beside, measure
from compiler.evaluation.duplicates import Duplicates, find_duplicates
from compiler.evaluation.looks import record_look
from compiler.evaluation.second_opinion import second_opinion
from compiler.events import Began, BuildResult, Estimated, Event, Finished, Log, Scored, StageStarted
from compiler.evidence import Findings, describe, evidence_files
from compiler.history import History
from compiler.lengths import measure_lengths
from compiler.lowering import executor
from compiler.optimizers.auto import Budget, settle
from compiler.optimizers.table import make_optimizer, optimizer_name
from compiler.prompts import prompts_before_and_after
from compiler.proof import REPLIES, lower_proven
from compiler.publication import check_writable, draft_release, publish
from compiler.rehearsal import check_fit, fields_needed, rehearse
from compiler.report.page import with_report
from compiler.request import BuildRequest, Cast, DataPaths
from compiler.scoring import Judge, Scorer
from compiler.search import search
from compiler.spending import Spending
from compiler.split import Parts, load_parts
from compiler.tracking.parameters import settings_of
from compiler.window import Window
from compiler.workshop import identity_of, is_begun, new_build_id, open_workshop

__all__ = ["BuildRequest", "Cast", "DataPaths", "build"]

Report = Callable[[Event], None]
SPENDING_EVERY = 0.5  # seconds


async def build(request: BuildRequest, cast: Cast) -> AsyncGenerator[Event, None]:
    """Builds, yielding what happens as it happens; the last event is Finished.

    Raises:
        UserMistake: the request, the data, the metric or the disk; one sentence, before or while building.
        TargetMissed: after Finished, when the release is below what was asked.
        OnlyEstimated: before the search, when the request wants no more.
        EngineError, ProgramError: as they are.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    work = asyncio.ensure_future(_build(request, cast, events.put_nowait))
    work.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        result = work.result()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    refuse_below(request, result)


async def _build(request: BuildRequest, cast: Cast, report: Report) -> BuildResult:
    begun = time.monotonic()
    program, build_id = request.program, request.build_id or new_build_id()
    history = History()
    report = history.beside(report)
    report(Began(build_id, resumed=is_begun(request.state, build_id)))
    optimizer = make_optimizer(request.optimizer, request.arguments)

    report(StageStarted("load"))
    check_writable(request.releases)
    module = program.make_module()
    parts, duplicates = _load(request, module, report)

    asked = _asked(request, parts, cast)
    with open_workshop(request, build_id, asked, cast) as shop:
        for note in shop.ledger.notes:
            report(Log(note))
        judge = Judge(program.metric, shop.teacher)
        scorer, teaching = Scorer(judge, shop.student), Scorer(judge, shop.teacher)
        plain = executor(module, program, PLAIN)
        report = _with_spending(report, shop.spending)

        report(StageStarted("check"))
        rehearsal = await rehearse(plain, parts.train, scorer, teaching)

        pace = Pace(request.seed, request.concurrency, request.target, request.token_price_weight)
        crew = Crew(scorer, teaching, shop.proposer)
        window = Window(shop.student, cast.student.context_tokens)
        bench = Bench(Subject(program, module), (parts.train, parts.dev), crew, pace, report, window)

        report(StageStarted("estimate"))
        beside = count_beside(program, cast, request.releases)
        known = await foresee(optimizer, bench, parts, rehearsal, beside)
        name, budget = optimizer_name(request.optimizer), Budget(request.ceiling, shop.charges)
        chosen = settle(name, optimizer, bench, known, budget)
        optimizer, way = chosen.optimizer, chosen.as_evidence(bench)
        report(describe(request, asked, parts, way))
        estimated = estimate(optimizer, known, shop.charges)
        kept = reserve(optimizer, known, shop.charges)
        refuse_unpriced(request.ceiling, kept)
        shop.spending.refuse_without_room(kept)
        _tell(estimated, request, report)

        report(StageStarted("optimise"))
        shop.spending.begin("optimise", kept)
        candidate, stopped = await search(chosen.optimizer, bench)

        report(StageStarted("lower"))
        lowered = lower_proven(
            (program, module), candidate, cast.student.context_tokens, parts.all(), shop.ledger.texts(REPLIES)
        )

        looks = record_look(request.state, parts.fingerprints()["test"], build_id, program.name)
        paddock = Paddock(bench.subject, cast, scorer, teaching, request.releases)
        tested = await measure(paddock, lowered.executor, parts.test, report)
        judge.check()
        opinions = await second_opinion(paddock, tested, parts.test, request.seed, report)

        report(StageStarted("decide"))
        draft = draft_release(program, module, lowered, cast.student)
        taught = None if cast.teacher is None else rehearsal.teacher
        prompts = prompts_before_and_after(module, candidate)
        lengths = await measure_lengths(bench.room, candidate, tested)
        findings = Findings(
            asked, parts, candidate, tested, taught, estimated, shop.prices, lowered, looks, stopped,
            history, duplicates, prompts, lengths, way, settings_of(request), opinions,
        )  # fmt: skip
        result = decide(request, build_id, draft, findings, shop.spending.spent(), time.monotonic() - begun)

        for line in accounts(result, estimated, lengths):
            report(Log(line))

        report(StageStarted("write"))
        files = with_report(evidence_files(result, findings), lambda line: report(Log(line)))
        publish(request.releases, draft, result.alias, build_id, files)
        report(Finished(result))
    return result


def _load(request: BuildRequest, module: dspy.Module, report: Report) -> tuple[Parts, Duplicates]:
    """The examples, checked: they fit the program, and how many test rows are in the others too."""
    parts = load_parts(request, fields_needed(module, request.program))
    check_fit(module, request.program, parts)
    duplicates = find_duplicates(parts)
    for note in (*parts.notes, *duplicates.notes):
        report(Log(note))
    return parts, duplicates


def _tell(expected: Estimated | None, request: BuildRequest, report: Report) -> None:
    """What the build will take, before it takes it; ends it here where that was all that was wanted."""
    if expected is not None:
        report(expected)
        for line in describe_cut(request.ceiling, expected):
            report(Log(line))
    if request.only_estimate:
        unknown = "This optimiser can't tell what it will take; give it a ceiling. "
        raise OnlyEstimated(f"{unknown if expected is None else ''}Nothing was built yet.")


def _asked(request: BuildRequest, parts: Parts, cast: Cast) -> dict[str, Any]:
    """What makes two builds the same build."""
    program = request.program
    return {
        "program": program.name,
        "optimizer": optimizer_name(request.optimizer),
        "arguments": dict(request.arguments),
        "seed": request.seed,
        "sampling": program.sampling.as_request(),
        "data": parts.fingerprints(),
        "token_price_weight": request.token_price_weight,
        "student": identity_of(cast.student),
        "teacher": cast.teacher and identity_of(cast.teacher),
        "proposer": cast.proposer and identity_of(cast.proposer),
    }


def _with_spending(report: Report, spending: Spending) -> Report:
    """Tells what was spent beside what was scored, but not for every example."""
    told = 0.0

    def tell(event: Event) -> None:
        nonlocal told
        if isinstance(event, StageStarted):
            spending.begin(event.stage)
        now = time.monotonic()
        if not isinstance(event, Scored) or now - told >= SPENDING_EVERY:
            told = now
            report(spending.spent())
        report(event)

    return tell
