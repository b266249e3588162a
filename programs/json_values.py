"""JSON that strangers wrote, read; and any value a program gives, written as JSON.

What is read can be walked, compared and written down again: half characters, numbers beyond all use and
nesting that would exhaust the stack are refused. What is written may hold more than the fast writer takes.
Knows nothing of files or fields.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import json_repair
import orjson

MOST_LEVELS = 64  # of lists and objects inside one another
MOST_DIGITS = 1_000  # of a whole number
MOST_MENDED = 4_000  # characters; a quarter of a second at worst, which grows with the square of the length


class JsonUnusable(ValueError):
    """Its text says what is wrong, as in "is not JSON: ..."."""


def read_json(data: bytes, *, unique: bool = False) -> Any:
    """The value in a JSON text; with `unique` no object may have a key twice. Raises JsonUnusable."""
    nested = JsonUnusable(f"holds lists and objects inside one another, more than {MOST_LEVELS} levels")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_integer,
            object_pairs_hook=_with_each_key_once if unique else None,
        )
    except UnicodeDecodeError as error:
        raise JsonUnusable("is not UTF-8") from error
    except json.JSONDecodeError as error:
        # Of a row of JSONL there is one line, whose number in its file is another.
        line = f"line {error.lineno} " if error.lineno > 1 else ""
        raise JsonUnusable(f"is not JSON: {error.msg}: {line}column {error.colno}") from error
    except RecursionError as error:
        raise nested from error
    if data.count(b"[") + data.count(b"{") > MOST_LEVELS and not _is_shallow(value):
        raise nested
    if rb"\ud" in data.lower() and not _whole_characters(value):
        raise JsonUnusable("holds half a character (a \\ud... without its other half)")
    return value


def mended_json(text: str) -> Any:
    """The value in JSON that a model wrote, mended where it is broken; "" where nothing can be made of it.

    What is longer than `MOST_MENDED` must not be broken.

    Raises:
        ValueError, RecursionError: it is nested without end.
    """
    if len(text) <= MOST_MENDED:
        return json_repair.loads(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return ""


def write_json(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """The value as JSON in one line; `default` turns what JSON does not know into what it does.

    Unlike orjson alone it writes numbers of more than 64 bits, and half characters as escapes.
    """
    try:
        return orjson.dumps(value, default=default)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=default, separators=(",", ":")).encode()


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    """The lists and objects in a list or an object."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict | list)]


def _whole_characters(value: Any) -> bool:
    """Whether its texts can be written down: JSON's escapes can hold half of a pair that is one character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise JsonUnusable("has a key twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise JsonUnusable(f"is not JSON: {text} is no JSON number")


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise JsonUnusable(f"holds a number of {len(text):,} digits; the most are {MOST_DIGITS:,}")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonUnusable(f"holds a number that is too large: {reprlib.repr(text)}")
    return number
