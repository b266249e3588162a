"""Both tables hold every case there is."""

from __future__ import annotations

import socket
import ssl
from errno import ECONNREFUSED as REFUSED
from errno import ENETUNREACH as UNROUTED
from http import HTTPStatus

import httptools
import pytest

from engine.errors import (
    ContextWindowExceeded,
    EngineError,
    EngineRateLimited,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)
from engine.translation import FROM_TRANSPORT, from_error_event, from_status, from_transport, without_key


def test_every_exception_of_the_parser_has_its_own_entry() -> None:
    raised = {
        kind for kind in vars(httptools).values() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert raised - set(FROM_TRANSPORT) == set()
    assert len(raised) > 5


@pytest.mark.parametrize(
    "error",
    [OSError(), ConnectionResetError(), TimeoutError(), ssl.SSLCertVerificationError(), ValueError("port")],
)
def test_what_breaks_below_http_is_unreachable_and_may_be_tried_again(error: Exception) -> None:
    found = from_transport(error, "http://engine")
    assert isinstance(found, EngineUnreachable) and found.retryable
    assert "http://engine can't be reached: " in str(found)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(REFUSED, "Connect call failed ('127.0.0.1', 9)"), "Connection refused"),
        (
            OSError(f"Multiple exceptions: [Errno {REFUSED}] of one, [Errno {REFUSED}] of two"),
            "Connection refused",
        ),
        (
            OSError(f"[Errno {UNROUTED}] of one, [Errno {REFUSED}] of two"),
            "Network is unreachable, Connection refused",
        ),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_what_the_system_says_is_told_in_words_and_not_by_number(error: Exception, told: str) -> None:
    assert (
        str(from_transport(error, "http://engine"))
        == f"The engine at http://engine can't be reached: {told}."
    )


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 300])
def test_every_status_that_is_no_success_becomes_a_definite_error(status: HTTPStatus) -> None:
    error = from_status(status, {}, {"error": {"message": "no"}}, "http://engine")
    assert type(error) is not EngineError
    assert f"{status.value} {status.phrase}: no" in str(error)


def test_a_status_nobody_defined_is_still_a_server_error() -> None:
    assert isinstance(from_status(599, {}, "", "http://engine"), EngineServerError)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "This model's maximum context length is 2048 tokens.", "code": 400}},
        {"error": {"message": "too long", "code": "context_length_exceeded"}},
        {"error": {"message": "too large", "type": "exceed_context_size_error"}},
        {"error": "The number of tokens to keep is greater than the context length"},
        {"message": "prompt is too long: 9000 tokens"},
    ],
)
def test_context_overflow_is_recognised_in_every_servers_words(body: object) -> None:
    assert isinstance(from_status(400, {}, body, "http://engine"), ContextWindowExceeded)


def test_other_refusals_are_not_taken_for_overflow() -> None:
    error = from_status(
        422, {}, {"error": {"message": "Unexpected keys in the request: {'ignore_eos'}"}}, "u"
    )
    assert type(error) is EngineRequestRefused


def test_retry_after_may_be_a_date_or_nonsense() -> None:
    past = from_status(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", "http://engine")
    odd = from_status(429, {"retry-after": "soon"}, "", "http://engine")
    assert isinstance(past, EngineRateLimited) and past.retry_after == 0.0
    assert isinstance(odd, EngineRateLimited) and odd.retry_after is None


def test_an_error_event_tells_its_status_by_code() -> None:
    assert isinstance(from_error_event({"error": {"code": 504, "message": "late"}}, "u"), EngineTimeout)
    assert isinstance(from_error_event({"error": {"message": "who knows"}}, "u"), EngineServerError)
    assert isinstance(from_error_event({"error": {"code": 200, "message": "odd"}}, "u"), EngineServerError)


def test_a_key_is_taken_out_of_what_a_server_says_but_no_placeholder_is() -> None:
    assert without_key("no such key: sk-canary", "sk-canary") == "no such key: (the key)"
    assert without_key("the body is EMPTY", "EMPTY") == "the body is EMPTY"
    assert without_key("anything", None) == "anything"


@pytest.mark.parametrize("value", ["inf", "1e400", "nan", "Thu, 01 Jan 9999 00:00:00 GMT"])
def test_nobody_is_told_to_stay_away_for_longer_than_a_day(value: str) -> None:
    error = from_status(429, {"Retry-After": value}, "", "http://engine")
    assert isinstance(error, EngineRateLimited) and (error.retry_after or 0) <= 24 * 3600


@pytest.mark.parametrize("code", ["²", "4" * 5_000, -1, True, None])
def test_a_code_that_is_no_status_is_a_failure_of_the_server(code: object) -> None:
    assert isinstance(from_error_event({"error": {"code": code}}, "http://engine"), EngineServerError)
