"""How a program's failed answers are asked for again: held to the format, said otherwise, by a teacher.

A rung is tried when an answer can't be read or breaks a check, and nothing of it was shown. What all tries
took is booked on the request. Off, unless `[programs.NAME] escalate` names rungs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

from engine.errors import EngineError
from engine.settings_programs import ProgramSettings, Rung
from gateway.accounting.run import MeteredRun
from gateway.constraint import CONSTRAINTS, constraint
from gateway.errors import EnginesBusy, ModelUnavailable
from gateway.metrics import Metrics
from gateway.place import Asked, ServedStudent
from gateway.salt import SALT
from gateway.students import Students
from programs.errors import CheckFailed
from programs.execution import RunFailed

if TYPE_CHECKING:
    from gateway.completion import Call

_log = logging.getLogger(__name__)

_ANSWERS = (RunFailed, CheckFailed)
FAILURES = (*_ANSWERS, EngineError, EnginesBusy)
"""What may lead to the next rung."""
_OTHERWISE = 0.7  # the temperature at which a model says the same thing otherwise, most of the time


class Ladder:
    """The rungs of one program; `teachers` are opened by whoever makes it."""

    def __init__(self, program: str, rungs: Sequence[Rung], students: Students, counted: Counter) -> None:
        self.rungs = rungs
        self._program = program
        self._students = students
        self._counted = counted

    def climb(self, call: Call, inputs: Mapping[str, Any], model: MeteredRun) -> Climb:
        return Climb(self, call, inputs, model)

    def teacher(self, name: str) -> ServedStudent | None:
        """A teacher, while it can be asked."""
        served = self._students.get(name).served
        return served if served is not None and served.reachable else None

    def count(self, rung: Rung, result: str) -> None:
        self._counted.labels(self._program, rung.word, result).inc()


class Climb:
    """One answer's way up. `params` are those of the try that is made now."""

    def __init__(self, ladder: Ladder, call: Call, inputs: Mapping[str, Any], model: MeteredRun) -> None:
        self.params: Mapping[str, object] = call.request.upstream
        self._ladder = ladder
        self._call = call
        self._inputs = inputs
        self._model = model
        self._left = iter(enumerate(ladder.rungs, 1))
        self._at: tuple[int, Rung] | None = None
        self._failed: Exception | None = None
        self._retries = 0

    def next(self, error: Exception, *, shown: bool = False) -> None:
        """Goes to the next rung that can be tried; where there is none, raises why the last answer failed."""
        if isinstance(error, _ANSWERS):
            self._failed = error
        if self._at is not None:
            self._ladder.count(self._at[1], "failed" if error is self._failed else "error")
        if self._failed is None or shown:
            # Of the first, it was the student's engine that failed; another answer would not mend that.
            raise error
        for at, rung in () if self._model.is_used_up() else self._left:
            if self._set_out(rung):
                self._at = (at, rung)
                if isinstance(error, _ANSWERS):
                    self._call.count_retries(error.attempts)
                # Its words stay out of the log: what can't be read is repeated in them.
                release, why = self._call.runnable.release, type(error).__name__
                _log.info("%s is asked again (%s): %s", release, rung.word, why)
                return
            self._ladder.count(rung, "skipped")
        raise self._failed from error

    def shows(self) -> None:
        """The client is about to see something of this try."""
        if self._at is not None and self._at[0] > self._call.height:
            self._call.height, self._call.rung = self._at[0], self._at[1].word

    def answered(self) -> None:
        self.shows()
        if self._at is not None:
            self._ladder.count(self._at[1], "answered")

    def _set_out(self, rung: Rung) -> bool:
        """Prepares a try; False where the rung is none for this program or engine."""
        match rung.kind:
            case "constrain":
                return self._constrain()
            case "retry":
                self._say_otherwise()
            case "teacher":
                assert rung.teacher is not None, "a rung of this kind names one"
                return self._turn_to(rung.teacher)
        self._model.turn_to(self._model.asked, rung.word)
        return True

    def _constrain(self) -> bool:
        added = constraint(self._call.runnable, self._model.asked.served, self._inputs)
        if not added or CONSTRAINTS & self.params.keys():
            return False
        self.params = {**self.params, **added}
        self._model.turn_to(self._model.asked, "constrain")
        return True

    def _say_otherwise(self) -> None:
        self._retries += 1
        own = self._call.request.upstream
        temperature, seed = own.get("temperature"), own.get("seed")
        warmth = max(temperature, _OTHERWISE) if isinstance(temperature, int | float) else _OTHERWISE
        # With a seed of its own each retry is another answer, and the same one when the request comes again.
        seed = self._retries + (seed if isinstance(seed, int) else 0)
        self.params = {**self.params, "temperature": warmth, "seed": seed}

    def _turn_to(self, name: str) -> bool:
        teacher = self._ladder.teacher(name)
        if teacher is None or (self._call.student.budgeted and teacher.price is None):
            # What nobody can count is not asked for on a budget.
            return False
        try:
            asked: Asked = teacher.asked_for(self._call.runnable.identity.version, None)
        except ModelUnavailable:
            return False
        own = self._call.request.upstream
        others = CONSTRAINTS if teacher.student.engine.kind == "vllm" else {*CONSTRAINTS, SALT}
        self.params = {name: value for name, value in own.items() if name not in others}
        if self._call.constrain:
            self.params = {**self.params, **constraint(self._call.runnable, teacher, self._inputs)}
        self._model.turn_to(asked, f"teacher:{name}")
        return True


def ladders_of(
    programs: Mapping[str, ProgramSettings], students: Students, metrics: Metrics
) -> Mapping[str, Ladder]:
    """Program -> its ladder, for those that have one."""
    climbing = {name: program.escalate for name, program in programs.items() if program.escalate}
    if not climbing:
        return {}
    told = "Times an answer was asked for again, by the way and what came of it."
    counted = metrics.counter("gateway_escalations", told, ("model", "rung", "result"))
    return {name: Ladder(name, rungs, students, counted) for name, rungs in climbing.items()}


def teachers_of(programs: Mapping[str, ProgramSettings]) -> Iterator[str]:
    """Who has to be open, so that they can be asked."""
    for program in programs.values():
        yield from (rung.teacher for rung in program.escalate if rung.teacher is not None)
