"""Takes out of a request's texts what must not be kept, before anything of it is written.

Every pattern runs on RE2: a search takes time in proportion to the text and to the pattern's size, which is
bounded. It may still find something at every place of a long text, and each time look through all the rest; a
clock ends that, and then the whole text is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from gateway.errors import StartFailed
from gateway.traffic.patterns import PATTERNS, SECRET_NAMES, Pattern

TOO_LONG = "[left out: looking through it took too long]"
TOO_DEEP = "[left out: nested too deep]"
_MOST_LEVELS = 64
_SECONDS = 1.0  # for the texts of one request
_LARGEST = 1_500  # instructions of a pattern; the largest of our own has about half of that


class _Compiled(NamedTuple):
    expression: Any
    """RE2's own class has no types."""
    group: int
    marker: str
    holds: Callable[[str], bool]


class Redaction:
    """The patterns of this gateway, compiled once. `own` are the operator's, by the name that is put in."""

    def __init__(self, own: Mapping[str, str], seconds: float = _SECONDS) -> None:
        """Raises StartFailed, with everything that is wrong with the patterns, or where RE2 is missing."""
        given = [Pattern(name, expression) for name, expression in own.items()]
        mistakes: list[str] = []
        found = [_compiled(pattern, mistakes) for pattern in (*given, *PATTERNS)]
        self._patterns = [pattern for pattern in found if pattern is not None]
        self._seconds = seconds
        if mistakes:
            raise StartFailed("\n".join(mistakes))

    def of(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a program's fields as they may be kept; the fields' own names stay."""
        clock = _Clock(perf_counter() + self._seconds)
        return {name: self._value(value, clock, 0) for name, value in fields.items()}

    def of_text(self, text: str) -> str:
        return self._text(text, _Clock(perf_counter() + self._seconds))

    def _value(self, value: Any, clock: _Clock, level: int) -> Any:
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, clock)
            case int() | float():
                # A number of an account is one without quotes, too.
                shown = self._text(str(value), clock)
                return value if shown == str(value) else shown
            case _ if level >= _MOST_LEVELS:
                return TOO_DEEP
            case list():
                return [self._value(item, clock, level + 1) for item in value]
            case _:
                return {
                    self._text(name, clock): "[secret]"
                    if isinstance(inner, str) and name.lower().replace("-", "_") in SECRET_NAMES
                    else self._value(inner, clock, level + 1)
                    for name, inner in value.items()
                }

    def _text(self, text: str, clock: _Clock) -> str:
        # Half a character can't be looked through, nor kept.
        text = text.encode("utf-8", "replace").decode()
        for pattern in self._patterns:
            parts, end = [], 0
            for found in pattern.expression.finditer(text):
                if clock.is_over():
                    return TOO_LONG
                begin, after = found.span(pattern.group)
                if pattern.holds(text[begin:after]):
                    parts += [text[end:begin], pattern.marker]
                    end = after
            if parts:
                text = "".join(parts) + text[end:]
        return TOO_LONG if clock.is_over() else text


class _Clock(NamedTuple):
    ends: float

    def is_over(self) -> bool:
        return perf_counter() > self.ends


def _compiled(pattern: Pattern, mistakes: list[str]) -> _Compiled | None:
    re2 = _re2()
    options = re2.Options()
    options.log_errors = False  # into standard error, past our log
    place = f"gateway.traffic.patterns.{pattern.name}"
    try:
        expression = re2.compile(pattern.expression, options)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        mistakes.append(
            f"{place}: {pattern.expression!r} is no pattern of RE2, which knows no look-around and no back "
            f"references: {said}"
        )
        return None
    if expression.programsize > _LARGEST:
        mistakes.append(
            f"{place}: {pattern.expression!r:.80} is too large: {expression.programsize:,} instructions, the "
            f"most are {_LARGEST:,}; use fewer counted repetitions and classes of Unicode"
        )
    if expression.search("") is not None:
        mistakes.append(f"{place}: {pattern.expression!r} finds nothing, everywhere; have it find something")
    group = expression.groupindex.get("it", 0)
    return _Compiled(expression, group, f"[{pattern.name}]", pattern.holds)


def _re2() -> Any:
    try:
        import re2
    except ImportError as error:
        raise StartFailed("A traffic log needs RE2: pip install 'smallforge[stores]'") from error
    return re2
