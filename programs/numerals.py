"""Reads the number out of a text: past units, currencies, LaTeX and whatever else a model writes around it.

Numbers are read as English writes them: a comma parts thousands, a full stop decimals. Knows nothing of what
a number is compared with.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_LONGEST = 10_000  # characters of a text that are read, the last ones
_MOST_DIGITS = 1_000  # of a number; Python takes longer ones for an attack

_CURRENCY = "$€£¥₹₩₽"
# Groups are bounded, or a long row of them would be read anew from each.
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,12}+(?!\d)|\d++)"
_DECIMAL = rf"{_DIGITS}(?:\.\d++)?"
# A minus apart from its number is one only where nothing stands before it that it could be taken from; at the
# start of a later line it is a list's bullet.
_SIGN = rf"(?:(?<![\w.)\]}}%])-(?:[{_CURRENCY}]\s?)?|(?:(?<=[=(:])|(?<=[=(:] )|\A)-\s[{_CURRENCY}]?)"
# A mixed number, a fraction, or a decimal with optional thousands commas and exponent. A number glued to a
# small letter or a `^` is mostly part of a unit or a name, as in m2 and x_1.
_NUMBER = re.compile(
    rf"(?P<sign>{_SIGN})?(?P<glued>(?<=[a-z_^]))?"
    rf"(?:(?P<whole>{_DIGITS})[ ]{{1,2}}(?=\d++\s?/\s?\d))?"
    rf"(?:(?P<over>{_DECIMAL})\s?/\s?(?P<under>{_DECIMAL})(?![.,/]\d)"
    rf"|(?P<decimal>{_DECIMAL}|(?<!\w)\.\d++)(?P<exponent>[eE][+-]?\d{{1,3}}(?!\w))?)"
)

_SIGNS = str.maketrans({"−": "-", "‒": "-", "–": "-", "‐": "-", "⁄": "/", "∕": "/", "٫": ".", "٬": ","})
_RAISED = re.compile(r"[⁺⁻]?[⁰¹²³⁴-⁹]+")
_BEFORE_VULGAR_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
# What parts groups of three digits besides a comma: spaces that don't break, and what LaTeX and code write.
_GROUPS = re.compile(r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f_'’]|\{,\}|,?\\[,;:! ])(?=\d{3}(?!\d))")
_GROUPS_ALONE = re.compile(r"\D*\d{1,3}(?: \d{3})+(?:\.\d+)?\D*")
_LATEX_FRACTION = re.compile(
    r"(?P<whole>\d\s{0,2})?\\[cdt]?frac\s?"
    r"(?:\{\s{0,2}(-?\d+)\s{0,2}\}\s?\{\s{0,2}(\d+)\s{0,2}\}|(\d)\s?(\d))"
)
_POWER_OF_TEN = re.compile(
    r"(?:(?P<times>\d)\s?(?:[x×*·⋅]|\\times|\\cdot)\s?|(?<![\d.,]))10\s?(?:\^|\*\*)\s?[{(]?([+-]?\d{1,3})(?!\d)[})]?"
)
_BOXED = re.compile(r"\\f?boxed\s?\{((?:[^{}]++|\{[^{}]*\})*+)")
# A line that is a number with something around it, not the heading of a numbered step.
_NUMBER_FIRST = re.compile(r"[^\w\n]*\d(?!\d*[.)]\s+[A-Za-z])")


def read_number(value: object) -> Fraction | None:
    """The number in a value: the one after `####` or in `\\boxed{}`, else the last number of the text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    text = _plain(str(value).strip()[-_LONGEST:])
    before, *marked = text.split("####")
    for piece in reversed(marked):
        line = piece.strip().partition("\n")[0]
        number = _last(line if _NUMBER_FIRST.match(line) else piece)
        if number is not None:
            return number
    boxed = [_last(content) for content in _BOXED.findall(before)]
    return next((number for number in reversed(boxed) if number is not None), _last(before))


def _plain(text: str) -> str:
    """The text with one way of writing each sign, fraction and power."""
    text = _RAISED.sub(lambda raised: "^" + raised[0], text)
    text = _GROUPS.sub("", _BEFORE_VULGAR_FRACTION.sub(" ", text))
    text = unicodedata.normalize("NFKC", text)[-_LONGEST:].translate(_SIGNS)
    text = text.replace(r"\$", "$").replace(r"\%", "%")
    text = _LATEX_FRACTION.sub(_as_division, _POWER_OF_TEN.sub(_as_exponent, text))
    return text.replace(" ", "") if _GROUPS_ALONE.fullmatch(text) else text


def _as_exponent(power: re.Match[str]) -> str:
    return f"{power['times'] or 1}e{power[2]}"


def _as_division(fraction: re.Match[str]) -> str:
    over, under = fraction[2] or fraction[4], fraction[3] or fraction[5]
    return f"{fraction['whole'].strip()} {over}/{under}" if fraction["whole"] else f"{over}/{under}"


def _last(text: str) -> Fraction | None:
    last = apart = None
    for last in _NUMBER.finditer(text):
        apart = last if last["glued"] is None else apart
    match = apart or last
    return _as_fraction(match) if match else None


def _as_fraction(match: re.Match[str]) -> Fraction | None:
    part = {name: text.replace(",", "") for name, text in match.groupdict().items() if text}
    if any(len(text) > _MOST_DIGITS for text in part.values()):
        return None
    if "decimal" in part:
        number = Fraction(part["decimal"] + part.get("exponent", ""))
    elif Fraction(part["under"]) == 0:
        return None
    else:
        number = Fraction(part.get("whole", 0)) + Fraction(part["over"]) / Fraction(part["under"])
    return -number if "sign" in part else number
