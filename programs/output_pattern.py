"""A plan's output format as a regular expression, for engines that can hold a model to one.

Every text that matches is read by `programs.reader` without a failure, and replies written as demonstrations
show them match. Only what any regular language has is used, no look-around: engines compile it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from programs.plan import Field, FieldType
from programs.tools import Offer

# Where str.splitlines breaks a line; in a pattern only \n may. Then white space that ends no line.
_BREAKS = r"\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_SPACES = r" \t\x1f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_REST = f"[^{_BREAKS}]*"

# A line that does not begin as a marker does, told apart character by character: "[[ ## ".
_LINE = (
    f"[{_SPACES}]*(?:[^{_SPACES}{_BREAKS}\\[]{_REST}"
    f"|\\[(?:[^{_BREAKS}\\[]{_REST}"
    f"|\\[(?:[^{_BREAKS} ]{_REST}"
    f"| (?:[^{_BREAKS}#]{_REST}"
    f"|#(?:[^{_BREAKS}#]{_REST}"
    f"|#(?:[^{_BREAKS} ]{_REST})?)?)?)?)?)?"
)
_STRING = (
    r'"(?:[^"\\\x00-\x1f\x85\u2028\u2029]|\\(?:["\\/bfnrt]|'
    r'u(?:[0-9a-cA-CeEfF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})))*"'
)
_NO_TOOLS = Offer()
_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = rf"{_INTEGER}(?:\.[0-9]+)?(?:e(?:[-+]?[0-9][0-9]?|-[1-3][0-9][0-9]))?"


def _list_of(item: str) -> str:
    return rf"\[(?:{item}(?:, ?{item})*)?\]"


_VALUES: dict[FieldType, str] = {
    "str": rf"{_LINE}(?:\n{_LINE})*",
    "int": _INTEGER,
    "float": _NUMBER,
    "bool": "(?:True|False)",
    "list[str]": _list_of(_STRING),
    "list[int]": _list_of(_INTEGER),
    "list[float]": _list_of(_NUMBER),
}


DEEPEST_ARGS = 2


def output_pattern(outputs: Sequence[Field], offer: Offer = _NO_TOOLS) -> str:
    """Matches whole replies that hold these outputs, in their order; calls are of the tools on offer.

    No pattern can hold arguments of any depth: theirs may have `DEEPEST_ARGS` levels of lists and objects.
    """
    sections = [rf"\[\[ ## {field.name} ## \]\]\n{_value(field, offer)}\n\n?" for field in outputs]
    return "".join([*sections, r"\[\[ ## completed ## \]\]\n?"])


def _value(field: Field, offer: Offer) -> str:
    if field.type == "tool_calls":
        return rf'\{{"tool_calls": ?\[{_calls(offer)}\]\}}'
    if field.type == "literal":
        return f"(?:{'|'.join(map(_escaped, field.choices))})"
    if field.type == "enum":
        # A reply may name a choice by its value or by its name.
        return f"(?:{'|'.join(map(_escaped, dict.fromkeys((*field.choices, *field.names))))})"
    return _VALUES[field.type]


def _calls(offer: Offer) -> str:
    if not offer.tools or offer.most == 0:
        return ""
    names = "|".join(_escaped(tool.name) for tool in offer.tools)
    levels = 1 if offer.depth <= 1 else DEEPEST_ARGS  # a small expression is compiled sooner
    args = _object_of(_json(levels))
    call = rf'\{{"name": ?"(?:{names})", ?"args": ?{args}\}}'
    calls = call if offer.most == 1 else f"{call}(?:, ?{call})*"
    return calls if offer.fewest else f"(?:{calls})?"


def _json(levels: int) -> str:
    """Any JSON value of so many levels of lists and objects."""
    if not levels:
        return f"(?:{_STRING}|{_NUMBER}|true|false|null)"
    inner = _json(levels - 1)
    return f"(?:{inner}|{_list_of(inner)}|{_object_of(inner)})"


def _object_of(value: str) -> str:
    return rf"\{{(?:{_STRING}: ?{value}(?:, ?{_STRING}: ?{value})*)?\}}"


def _escaped(text: str) -> str:
    """A text as itself; `re.escape` writes more backslashes than engines know."""
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text).replace("\n", r"\n")
