"""One request as it goes into the traffic log, taken down at the moment when it is over.

Nothing of a request's headers is ever here: whose it was is told by the id of a key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.program_errand import ProgramErrand
from gateway.visit import Visit
from programs.json_values import write_json
from programs.tools import Offer


@dataclass(frozen=True, slots=True)
class Entry:
    """`row` holds what a table has as it is; `texts` is JSON of the rest, which still has to be redacted.

    It is written down at once because what it is made of lives on and may change.
    """

    row: Mapping[str, Any]
    texts: bytes


def entry_of(visit: Visit) -> Entry | None:
    """What is kept of a request; None where no program was asked, or its client wants nothing kept.

    Raises:
        TypeError, ValueError, RecursionError: it holds what JSON can't.
    """
    errand = visit.errand
    if not isinstance(errand, ProgramErrand) or not errand.call.request.may_be_kept:
        return None
    call, student = errand.call, errand.call.student
    chat, outcomes = call.runnable.executor.chat, [call.outcomes[at] for at in sorted(call.outcomes)]
    tokens = student.tokens
    texts = {
        "inputs": kept_inputs(call.given),
        "outputs": [dict(outcome.outputs) for outcome in outcomes],
        "steps": None if student.trace is None else student.trace.as_list(),
    }
    row = {
        "response_id": errand.id,
        "request_id": errand.id,
        "at": time.time() - visit.seconds,
        "key_id": None if visit.caller is None else visit.caller.id,
        "model": errand.model,
        "program": call.runnable.identity.program,
        "release": call.runnable.release,
        "answer": chat.answer,
        "reasoning": write_json(chat.reasoning).decode(),
        "complete": len(outcomes) == call.request.n and all(outcome.complete for outcome in outcomes),
        "prompt_tokens": None if tokens is None else tokens.prompt,
        "completion_tokens": None if tokens is None else tokens.completion,
        "usd": student.usd,
        "seconds": visit.seconds,
        "status": visit.status,
        "error": None if visit.error is None else visit.error.code,
    }
    return Entry(row, write_json(texts, str))


def kept_inputs(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Inputs as a request holds them, so that a build can read them again: tools are a list."""
    if given is None:
        return None
    return {
        name: [tool.as_dict() for tool in value.tools] if isinstance(value, Offer) else value
        for name, value in given.items()
    }
