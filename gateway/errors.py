"""Everything the gateway answers with other than a completion.

    GatewayError
    ├── RequestInvalid        400  the request can't be served as it is
    ├── KeyRefused            401  no key, or one that does not hold
    ├── BodyTooLarge          413
    ├── ModelUnknown          404  no such model name, or none that the key may ask
    ├── KeyUnknown            404  no such key to revoke or rotate
    ├── KeyNameTaken          409  a key has that name already
    ├── RouteUnknown          404  no such path, or 405 for its method
    ├── ResponseUnknown       404  feedback on what this client was not answered, or is not kept
    ├── ModelUnavailable      503  the release is there but may not or cannot run now
    ├── EnginesBusy           503  every engine is full, and the queue before them
    ├── CostCeilingReached    402  another step would go past the request's own ceiling
    ├── DeadlinePassed        504  the request's own deadline passed
    ├── OutputInvalid         502  the model's reply does not hold the program's outputs
    │   └── CheckBroken       502  it does, but not what the program checks, however often asked
    ├── SchemaBroken          502  the outputs are not as the request's own schema asks
    ├── RunTooLong            504  the program took more steps or time than one answer may
    ├── SearchFailed          502  what the program searches can't be searched now
    ├── StoreUnavailable      503  the gateway's database can't be asked now
    ├── RateLimited           429  a limit per minute, or of requests at a time, is reached
    ├── QuotaSpent            429  a budget of a day or month is spent
    ├── LimitsUncounted       503  what is limited can't be counted now
    ├── PriceUnknown          503  a budget is set, and what the model costs isn't known
    ├── UpstreamFailed        what an engine's error becomes; see `UPSTREAM`
    └── InternalFault         500  ours; the details are in the log only

    StartFailed               the gateway can't come up; never reaches a client

`as_gateway_error` is the one place where errors of the layers below become these.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from engine import errors as engine_errors
from engine.errors import EngineError
from programs.errors import CheckFailed, InputInvalid, LimitExceeded, ReplyUnparseable, RetrievalFailed
from programs.execution import RunFailed

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]


class GatewayError(Exception):
    """Has the shape of an OpenAI error; `retry` says whether the same request may succeed later.

    `about` stands beside the error in the body: what a traced request took until it failed.
    """

    status: int = 500
    type: str = "invalid_request_error"
    code: str | None = None
    retry: bool = False
    retry_after: float | None = None
    reason: str | None = None
    """Word for `gateway_upstream_errors_total`; None where no engine is to blame."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.about: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        told = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": told} if self.about is None else {"error": told, "smallforge": self.about}

    def body(self) -> bytes:
        return orjson.dumps(self.as_dict())

    def headers(self) -> list[Header]:
        headers: list[Header] = []
        if not self.retry:
            # OpenAI's SDKs repeat every 5xx unless told otherwise.
            headers.append((b"x-should-retry", b"false"))
        if self.retry_after is not None:
            headers.append((b"retry-after", str(math.ceil(self.retry_after)).encode()))
        return headers


class StartFailed(Exception):
    """Why the gateway can't come up, in one sentence for its operator."""


class RequestInvalid(GatewayError):
    status = 400


class KeyRefused(GatewayError):
    """Says of a key only what its holder may know."""

    status = 401
    code = "invalid_api_key"

    def headers(self) -> list[Header]:
        return [*super().headers(), (b"www-authenticate", b"Bearer")]


class KeyUnknown(GatewayError):
    status = 404
    code = "key_not_found"


class KeyNameTaken(GatewayError):
    status = 409
    code = "key_name_taken"


class BodyTooLarge(GatewayError):
    status = 413
    code = "request_too_large"


class ModelUnknown(GatewayError):
    status = 404
    code = "model_not_found"


class RouteUnknown(GatewayError):
    status = 404
    code = "unknown_url"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ResponseUnknown(GatewayError):
    status = 404
    code = "response_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="response_id")


class ModelUnavailable(GatewayError):
    status = 503
    type = "server_error"
    code = "model_unavailable"

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message, param="model")
        self.retry = retry


class EnginesBusy(GatewayError):
    status = 503
    type = "server_error"
    code = "engines_busy"
    retry = True
    retry_after = 1.0

    def headers(self) -> list[Header]:
        return [*super().headers(), (b"x-should-retry", b"true")]


class OutputInvalid(GatewayError):
    """`retries` says how often the model was asked again for the sake of a check."""

    status = 502
    type = "server_error"
    code = "program_output_invalid"

    def __init__(self, message: str, retries: int = 0) -> None:
        super().__init__(message)
        self.retries = retries


class CheckBroken(OutputInvalid):
    pass


class SchemaBroken(GatewayError):
    status = 502
    type = "server_error"
    code = "program_output_invalid"


class CostCeilingReached(GatewayError):
    status = 402
    code = "cost_ceiling_reached"


class DeadlinePassed(GatewayError):
    status = 504
    type = "server_error"
    code = "deadline_passed"


class StoreUnavailable(GatewayError):
    status = 503
    type = "server_error"
    code = "database_unavailable"
    retry = True


class RunTooLong(GatewayError):
    status = 504
    type = "server_error"
    code = "program_limit_exceeded"


class SearchFailed(GatewayError):
    status = 502
    type = "server_error"
    code = "retrieval_failed"
    retry = True


class RateLimited(GatewayError):
    """`type` is what was short, requests or tokens; `standing` are headers on how it stands with both."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, type: str, seconds: float | None, standing: Sequence[Header]) -> None:
        """`seconds` are those after which the same request may be granted; None is never."""
        super().__init__(message)
        self.type = type
        self.retry = seconds is not None
        self.retry_after = seconds
        self.standing = standing

    def headers(self) -> list[Header]:
        headers = [*super().headers(), *self.standing]
        if self.retry_after is not None:
            # OpenAI's SDKs wait by this one, which is finer.
            headers.append((b"retry-after-ms", b"%d" % math.ceil(self.retry_after * 1000)))
        return headers


class QuotaSpent(GatewayError):
    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.retry_after = seconds


class LimitsUncounted(GatewayError):
    status = 503
    type = "server_error"
    code = "limits_unavailable"

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message)
        self.retry = seconds is not None
        self.retry_after = seconds


class PriceUnknown(GatewayError):
    status = 503
    type = "server_error"
    code = "price_unknown"


class InternalFault(GatewayError):
    status = 500
    type = "server_error"
    code = "internal_error"


class UpstreamFailed(GatewayError):
    def __init__(self, error: EngineError, answer: Answer) -> None:
        super().__init__(answer.told, code=answer.code)
        self.status, self.type = answer.status, answer.type
        self.retry = error.retryable
        self.reason = error.reason
        if isinstance(error, engine_errors.EngineRateLimited):
            # Without the engine's own number the SDKs would come back at once.
            self.retry_after = 1.0 if error.retry_after is None else max(error.retry_after, 0.0)


class Answer(NamedTuple):
    """How one kind of engine error is told to a client."""

    status: int
    type: str
    code: str
    told: str


_OPERATOR = "The gateway's engine is not set up to serve this model; its operator has to look at the log."

UPSTREAM: dict[type[EngineError], Answer] = {
    EngineError: Answer(502, "server_error", "engine_failed", "The engine failed."),
    engine_errors.EngineUnreachable: Answer(
        502, "server_error", "engine_unreachable", "The engine can't be reached."
    ),
    engine_errors.EngineTimeout: Answer(
        504, "server_error", "engine_timeout", "The engine took too long to answer."
    ),
    engine_errors.EngineRateLimited: Answer(
        429, "rate_limit_error", "rate_limited", "The engine is at its limit."
    ),
    engine_errors.EngineServerError: Answer(502, "server_error", "engine_failed", "The engine failed."),
    # Never 401: the client's key is not the one that was refused.
    engine_errors.EngineCredentialRefused: Answer(
        502, "server_error", "engine_credential_refused", _OPERATOR
    ),
    engine_errors.EngineRequestRefused: Answer(
        400, "invalid_request_error", "engine_refused_request", "The engine refused the request."
    ),
    engine_errors.ContextWindowExceeded: Answer(
        400,
        "invalid_request_error",
        "context_length_exceeded",
        # By these words LiteLLM knows the error, and DSPy by LiteLLM's.
        "The program's prompt, the inputs and the answer exceed the model's maximum context limit.",
    ),
    engine_errors.EngineReplyInvalid: Answer(
        502, "server_error", "engine_reply_invalid", "The engine's reply does not follow OpenAI's protocol."
    ),
    engine_errors.EngineWrongModel: Answer(503, "server_error", "engine_unavailable", _OPERATOR),
    engine_errors.EngineNotInstalled: Answer(503, "server_error", "engine_unavailable", _OPERATOR),
    engine_errors.EngineStartFailed: Answer(503, "server_error", "engine_unavailable", _OPERATOR),
    engine_errors.EngineNotFound: Answer(503, "server_error", "engine_unavailable", _OPERATOR),
    engine_errors.SettingsInvalid: Answer(503, "server_error", "engine_unavailable", _OPERATOR),
}
"""Engine error -> what a client is told; URLs and messages of our side stay in the log."""


def as_gateway_error(error: Exception) -> GatewayError:
    """The answer to any failure of a request; what is our own fault is logged with its traceback."""
    match error:
        case GatewayError():
            return error
        case EngineError():
            return _upstream_failed(error)
        case InputInvalid():
            return RequestInvalid(f"{error}.", param=f"inputs.{error.name}")
        case ReplyUnparseable():
            told = f"The model's reply does not hold the program's outputs: {error}."
            return OutputInvalid(told, error.attempts - 1 if isinstance(error, RunFailed) else 0)
        case CheckFailed():
            told = f"The model's answer does not pass the program's checks: {error}."
            return CheckBroken(told, error.attempts - 1)
        case LimitExceeded():
            return RunTooLong(f"The program did not come to an end: {error}.")
        case RetrievalFailed():
            _log.warning("a program's search failed: %s", error)
            return SearchFailed("What the program searches can't be searched now.")
        case _ if (engine_error := _engine_error_behind(error)) is not None:
            return _upstream_failed(engine_error)
        case _:
            _log.error("a request failed inside the gateway", exc_info=error)
            return InternalFault("The gateway failed; the details are in its log.")


def _engine_error_behind(error: BaseException) -> EngineError | None:
    """What the engine said, where DSPy, which runs interpreted releases, wrapped it in errors of its own."""
    cause = error.__cause__ or error.__context__
    while cause is not None and not isinstance(cause, EngineError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _upstream_failed(error: EngineError) -> UpstreamFailed:
    kind = next(kind for kind in type(error).__mro__ if kind in UPSTREAM)
    answer = UPSTREAM[kind]
    if isinstance(error, engine_errors.EngineRequestRefused) and error.status == 404:
        # The engine does not know the model or the path: nothing the client sent.
        answer = Answer(502, "server_error", "engine_refused_request", _OPERATOR)
    if isinstance(error, engine_errors.EngineRequestRefused):
        # What an engine says of a request that it refuses may repeat all that it was sent.
        _log.warning("engine error %s: it answered %d", error.reason, error.status)
        _log.debug("it said: %s", error)
    else:
        _log.warning("engine error %s: %s", error.reason, error)
    return UpstreamFailed(error, answer)
