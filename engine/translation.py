"""What connections and their parser raise and what HTTP servers answer, as this package's errors: one table
for each.

Every exception of the parser stands in `FROM_TRANSPORT` by itself, so that an upgrade with a new one fails a
test instead of getting its parent's meaning unseen.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isnan
from time import time

import httptools

from engine.chat import error_message
from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineError,
    EngineRateLimited,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)

FROM_TRANSPORT: Mapping[type[BaseException], type[EngineError]] = {
    OSError: EngineUnreachable,
    ConnectionError: EngineUnreachable,
    socket.gaierror: EngineUnreachable,
    ssl.SSLError: EngineUnreachable,
    # An address that is none; uvloop has RuntimeError where asyncio has OSError.
    ValueError: EngineUnreachable,
    RuntimeError: EngineUnreachable,
    httptools.HttpParserError: EngineReplyInvalid,
    httptools.HttpParserCallbackError: EngineReplyInvalid,
    httptools.HttpParserInvalidMethodError: EngineReplyInvalid,
    httptools.HttpParserInvalidStatusError: EngineReplyInvalid,
    httptools.HttpParserInvalidURLError: EngineReplyInvalid,
    httptools.HttpParserUpgrade: EngineReplyInvalid,
}

FROM_STATUS: Mapping[int, type[EngineError]] = {
    401: EngineCredentialRefused,
    402: EngineCredentialRefused,
    403: EngineCredentialRefused,
    407: EngineCredentialRefused,
    408: EngineTimeout,
    429: EngineRateLimited,
    504: EngineTimeout,
}

# How vLLM, OpenAI, llama.cpp, LM Studio and others word it; the first is OpenAI's code.
_CONTEXT_WORDS = (
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context length",
    "context size",
    "context window",
    "prompt is too long",
    "maximum model length",
)

# LM Studio answers 400 where a model crashed or was taken out of memory; the same request may succeed later.
_GONE_WORDS = ("model has crashed", "model is unloaded", "model unloaded")


_STATUS = re.compile("[0-9]{3}")
_ERRNO = re.compile(r"\[Errno ([0-9]+)\]")
_UNRESOLVED = re.compile(r"\[Errno -[0-9]+\] ")  # of a name of a host; the words follow

_LONGEST_RETRY = 24 * 3600.0  # seconds that an engine may tell a client to stay away

# A shorter one is a placeholder such as "EMPTY", and likely to be part of a word.
_SHORTEST_KEY = 8


def without_key(said: str, key: str | None) -> str:
    """A server's words with our key taken out, which some servers repeat."""
    return said.replace(key, "(the key)") if key and len(key) >= _SHORTEST_KEY else said


def from_transport(exc: BaseException, url: str) -> EngineError:
    """Our error for an exception below HTTP or in reading it, by the nearest class in the table."""
    kind = next(
        (FROM_TRANSPORT[base] for base in type(exc).__mro__ if base in FROM_TRANSPORT), EngineUnreachable
    )
    detail = _in_words(exc)
    if kind is EngineReplyInvalid:
        return EngineReplyInvalid(f"The engine at {url} did not answer as an HTTP server should: {detail}.")
    return EngineUnreachable(f"The engine at {url} can't be reached: {detail}.")


def _in_words(exc: BaseException) -> str:
    """As the system names it, once for all addresses of a host: asyncio tells a number and each address."""
    said = str(exc).strip()
    names = dict.fromkeys(os.strerror(int(number)) for number in _ERRNO.findall(said))
    return ", ".join(names) or _UNRESOLVED.sub("", said) or type(exc).__name__


def from_status(status: int, headers: Mapping[str, str], body: object, url: str) -> EngineError:
    """Our error for a reply with a status other than 200; `body` is its parsed JSON, or its text."""
    message, code = error_message(body)
    if not message and isinstance(body, str):
        message = body[:300]
    said = f"{_status_name(status)}: {message}" if message else _status_name(status)
    kind = FROM_STATUS.get(status, _by_hundreds(status))
    if kind is EngineRequestRefused and any(words in f"{code} {message}".lower() for words in _CONTEXT_WORDS):
        kind = ContextWindowExceeded
    elif kind is EngineRequestRefused and any(words in message.lower() for words in _GONE_WORDS):
        kind = EngineServerError
    sentence = f"The engine at {url} answered {said}"
    if issubclass(kind, EngineRequestRefused):
        return kind(sentence, status=status, said=message)
    return _made(kind, status, sentence, headers)


def from_error_event(body: object, url: str) -> EngineError:
    """Our error for an error object inside a stream, where only the body can tell the status."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int | str) and _STATUS.fullmatch(str(code)) else 500
    return from_status(status if 400 <= status < 600 else 500, {}, body, url)


def _made(kind: type[EngineError], status: int, sentence: str, headers: Mapping[str, str]) -> EngineError:
    if kind is EngineRateLimited:
        return EngineRateLimited(sentence, retry_after=retry_after(headers))
    if kind is EngineServerError:
        return EngineServerError(sentence, status=status)
    return kind(sentence)


def _by_hundreds(status: int) -> type[EngineError]:
    if status >= 500:
        return EngineServerError
    # Redirects are not followed: they could carry our key to a host that no configuration names.
    return EngineRequestRefused if status >= 400 else EngineReplyInvalid


def _status_name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header, which may hold seconds or a date; a day at most."""
    value = headers.get("Retry-After") or headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return None if isnan(seconds) else min(max(0.0, seconds), _LONGEST_RETRY)
