"""A line in the log for every request that failed, and for all where the operator wants them.

It says which request and how it ended; what was asked, what was answered, and the words of an error, which
may repeat either, stay out of it.
"""

from __future__ import annotations

import logging

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
        errand, caller, error = visit.errand, visit.caller, visit.error
        known = facts(
            path=visit.path,
            status=visit.status,
            seconds=round(visit.seconds, 6),
            key=None if caller is None else caller.id,
            **({} if error is None else _of_error(error)),
        )
        if errand is not None:
            account = errand.account
            tokens, metrics = account.student.tokens, account.metrics
            known["facts"] |= {
                "model": metrics.model,
                "release": metrics.release,
                "calls": account.student.calls,
            }
            if tokens is not None:
                known["facts"] |= {"input_tokens": tokens.prompt, "output_tokens": tokens.completion}
            if account.student.calls and account.student.usd is not None:
                known["facts"]["cost_usd"] = account.student.usd
        _log.log(_level(error), "a request %s", "failed" if error is not None else "ended", extra=known)


def log_refusal(path: str, error: GatewayError) -> None:
    """The same of a request that reached no endpoint."""
    known = facts(path=path, status=error.status, **_of_error(error))
    _log.log(_level(error), "a request failed", extra=known)


def _of_error(error: GatewayError) -> dict[str, str | None]:
    return {"error": type(error).__name__, "code": error.code, "reason": error.reason}


def _level(error: GatewayError | None) -> int:
    return logging.WARNING if error is not None and error.status >= 500 else logging.INFO
