"""A line in the log for every request that failed, and for all where the operator wants them.

It says which request and how it ended; what was asked, what was answered, and the words of an error, which
may repeat either, stay out of it.
"""

from __future__ import annotations

import logging

from gateway.errand import Errand
from gateway.errors import GatewayError
from gateway.logs import facts
from gateway.visit import Visit

_log = logging.getLogger(__name__)


class RequestLog:
    """An observer; with `every` it logs requests that went well too."""

    def __init__(self, every: bool) -> None:
        self._every = every

    def finished(self, visit: Visit) -> None:
        if visit.error is None and not self._every:
            return
        caller, error = visit.caller, visit.error
        known = facts(
            path=visit.path,
            status=visit.status,
            seconds=round(visit.seconds, 6),
            key=None if caller is None else caller.id,
            **({} if error is None else _of_error(error)),
            **({} if visit.errand is None else _of_errand(visit.errand)),
        )
        _log.log(_level(error), "a request %s", "ended" if error is None else "failed", extra=known)


def log_refusal(path: str, error: GatewayError) -> None:
    """The same of a request that reached no endpoint."""
    known = facts(path=path, status=error.status, **_of_error(error))
    _log.log(_level(error), "a request failed", extra=known)


def _of_error(error: GatewayError) -> dict[str, str | None]:
    return {"error": type(error).__name__, "code": error.code, "reason": error.reason}


def _of_errand(errand: Errand) -> dict[str, object]:
    metrics, student = errand.account.metrics, errand.account.student
    tokens = student.tokens
    return {
        "model": metrics.model,
        "release": metrics.release or None,
        "calls": student.calls,
        "input_tokens": None if tokens is None else tokens.prompt,
        "output_tokens": None if tokens is None else tokens.completion,
        "cost_usd": student.usd if student.calls else None,
    }


def _level(error: GatewayError | None) -> int:
    return logging.WARNING if error is not None and error.status >= 500 else logging.INFO
