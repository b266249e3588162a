"""The most that a request's body may ask for, whichever path it came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.settings_access import CapSettings
from gateway.errors import RequestInvalid
from gateway.protocol import read_object

_CAPPED = {
    "messages": "messages",
    "n": "n",
    "best_of": "n",
    "stop": "stop",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "n_predict": "max_tokens",
}
"""Field -> the cap that holds for it."""


def read_request(data: bytes, caps: CapSettings) -> dict[str, Any]:
    """The JSON object in a body. Raises RequestInvalid where it is none, or asks for more than it may."""
    body = read_object(data)
    # Most bodies have fewer brackets than may lie within each other.
    if data.count(b"{") + data.count(b"[") > caps.depth and _is_deeper(body, caps.depth):
        raise RequestInvalid(
            f"The body has lists and objects more than {caps.depth} within each other.", code="body_too_deep"
        )
    for name in _CAPPED.keys() & body.keys():
        _check(name, body[name], getattr(caps, _CAPPED[name]))
    return body


def _check(name: str, value: Any, most: int) -> None:
    """What is neither a number nor a list is told by whoever reads it."""
    if isinstance(value, int) and value > most:
        raise RequestInvalid(f"{name!r} may be at most {most} here.", param=name, code="invalid_value")
    if isinstance(value, list) and len(value) > most:
        raise RequestInvalid(f"{name!r} may hold at most {most} here.", param=name, code="invalid_value")


def _is_deeper(body: Mapping[str, Any], most: int) -> bool:
    level: list[Any] = [body]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in (dict, list)
        ]
        if not level:
            return False
    return True
