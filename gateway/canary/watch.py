"""Watches the canaries that run, and ends those that break a guard.

Each worker judges by what all workers of its gateway answered. The first that finds a guard broken writes it
beside the aliases, where all workers, and all gateways that serve the same folder, see it within a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from gateway.canary.guards import Answer, Broken, Tally, judge
from gateway.canary.sheet import Seen, Sheet, sheet_of
from gateway.canary.split import Split
from gateway.catalog import Catalog
from gateway.errors import DeadlinePassed, LimitsUncounted, OutputInvalid, PriceUnknown
from gateway.metrics import Metrics
from gateway.program_errand import ProgramErrand
from gateway.shared import Shared
from gateway.visit import Visit
from programs.canary import Canary, roll_back_canary
from programs.errors import ReleaseError

_log = logging.getLogger(__name__)
_MOST_ANSWERS = 10_000  # of each release; a window of more holds the newest

Clock = Callable[[], float]


def _answers() -> deque[Answer]:
    return deque(maxlen=_MOST_ANSWERS)


@dataclass
class Trial:
    """What was seen of one canary against one champion; `mine` is what this worker saw since it looked."""

    canary: Canary
    against: str
    sheet: Sheet | None = None
    mine: list[Seen] = field(default_factory=list)
    champion: deque[Answer] = field(default_factory=_answers)
    candidate: deque[Answer] = field(default_factory=_answers)

    def goes_on(self, canary: Canary, against: str) -> bool:
        ours = (self.canary.version, self.canary.started, self.against)
        return ours == (canary.version, canary.started, against)

    def broken(self, now: float) -> Broken | None:
        """The guard that is broken by what was answered within the window."""
        mine, self.mine = self.mine, []
        seen = mine if self.sheet is None else self.sheet.exchange(mine)
        if not seen:
            return None
        for by_candidate, answer in seen:
            (self.candidate if by_candidate else self.champion).append(answer)
        for answers in (self.champion, self.candidate):
            while answers and answers[0].at < now - self.canary.guards.window:
                answers.popleft()
        return judge(self.canary.guards, Tally.of(self.champion), Tally.of(self.candidate))

    def end(self) -> None:
        if self.sheet is not None:
            self.sheet.close()


class Watch:
    """An observer of all requests; `look` is called again and again by the gateway's lifespan.

    `clock` has to be one for all that is `shared`.
    """

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        releases: Path,
        shared: Shared | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._releases = releases
        self._shared = shared
        self._clock = clock
        self._trials: dict[str, Trial] = {}

    def finished(self, visit: Visit) -> None:
        errand = visit.errand
        trial = self._trials.get(errand.model) if errand is not None else None
        if trial is None or not isinstance(errand, ProgramErrand) or not _judges(visit, errand):
            return
        unparseable = isinstance(visit.error, OutputInvalid)
        answer = Answer(self._clock(), visit.status != 200 and not unparseable, unparseable, visit.seconds)
        by_candidate = errand.call.runnable.identity.version == trial.canary.version
        trial.mine.append(Seen(by_candidate, answer))

    async def look(self) -> None:
        """Takes in which canaries run, and ends those that broke a guard."""
        splits = self._catalog.splits()
        for program in self._trials.keys() - splits.keys():
            self._trials.pop(program).end()
        for program, split in splits.items():
            broken = self._trial(program, split).broken(self._clock())
            if broken is not None:
                await self._roll_back(program, split.canary, broken)

    def _trial(self, program: str, split: Split) -> Trial:
        against = self._catalog.models[program].loaded.version
        trial = self._trials.get(program)
        if trial is None or not trial.goes_on(split.canary, against):
            if trial is not None:
                trial.end()
            names = (program, split.canary.version, split.canary.started, against)
            trial = self._trials[program] = Trial(split.canary, against, sheet_of(self._shared, *names))
        trial.canary = split.canary  # its weight or its guards may have changed
        return trial

    async def _roll_back(self, program: str, canary: Canary, broken: Broken) -> None:
        # This worker stops at once; the file is for all the others.
        self._catalog.withdraw(program)
        self._trials.pop(program).end()
        name = f"{program}@{canary.version}"
        try:
            first = await asyncio.to_thread(
                roll_back_canary, self._releases / program, canary, broken.guard, broken.reason
            )
        except ReleaseError as error:
            # The other workers can't be told, and find it out for themselves.
            _log.critical("the canary of %s ends in this worker only: %s; %s", name, broken.reason, error)
        else:
            if not first:
                return
            _log.error("the canary of %s is rolled back: %s", name, broken.reason)
        self._metrics.canary_rollbacks.labels(program, canary.version, broken.guard).inc()


def _judges(visit: Visit, errand: ProgramErrand) -> bool:
    """Whether how a request ended says something of its release: not where the client, or a limit, ended it,
    nor where the answer was there before.
    """
    if visit.status == 200:
        return errand.account.student.calls > 0
    if isinstance(visit.error, LimitsUncounted | PriceUnknown | DeadlinePassed):
        return False
    too_long = visit.error is not None and visit.error.code == "context_length_exceeded"
    return visit.status >= 500 or too_long
