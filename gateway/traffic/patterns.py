"""What gives a person or an account away in a text: the patterns that come with the gateway.

Written for RE2, which has no look-around: where a pattern has a group `it`, only that is taken out. Each may
have a second look at what it found, for what no pattern can say.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple


class Pattern(NamedTuple):
    """What is found is replaced by `[name]`, where `holds` says yes to it."""

    name: str
    expression: str
    holds: Callable[[str], bool] = bool


SECRET_NAMES = frozenset(
    ("password", "passwd", "pwd", "secret", "api_key", "apikey", "access_token", "refresh_token",
     "auth_token", "client_secret", "private_key", "authorization")
)  # fmt: skip
"""Keys of objects whose texts are secrets whatever they look like, in small letters and with `_` for `-`."""

_LEAST_ENTROPY = 3.5  # bits a character; words of a language, run together, stay below it
_HEX = re.compile(r"[0-9a-fA-F]{32,}")


def _is_card(found: str) -> bool:
    """Whether the digits begin as those of payment cards do and their check digit is right."""
    digits = [int(character) for character in found if character.isdigit()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 2 <= digits[0] <= 6 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_dialled(found: str) -> bool:
    return 9 <= sum(character.isdigit() for character in found) <= 15


def _has_digit(found: str) -> bool:
    return any(character.isdigit() for character in found)


def _is_random(found: str) -> bool:
    """Whether nobody would write it by hand: letters of both sizes and digits mixed, or a long hex number."""
    if not _has_digit(found):
        return False
    if _HEX.fullmatch(found):
        return not found.isdigit()
    mixed = any(map(str.islower, found)) and any(map(str.isupper, found))
    return mixed and _entropy(found) >= _LEAST_ENTROPY


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


_MARKS = r"""<>()\[\]{},;:"|/"""  # of no address, whatever its alphabet
_BEFORE = r"(?:^|[^\w.])"  # a number that goes on to the left is another number

PATTERNS: tuple[Pattern, ...] = (
    Pattern("secret", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
    Pattern("secret", r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:(?P<it>[^\s/@]+)@"),
    Pattern(
        "secret",
        r"\b(?:(?:sk|pk|rk|sf)[-_][\w-]{16,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
        r"|xox[a-z]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{20,}"
        r"|npm_[A-Za-z0-9]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)",
    ),
    Pattern("secret", r"(?i)\b(?:bearer|basic)\s+(?P<it>[\w.~+/=-]{12,})", _has_digit),
    Pattern(
        "secret",
        r"(?i)\b(?:api[ _-]?key|secret|passw(?:or)?d|pwd|(?:access|auth|refresh)[ _-]?token"
        r"|client[ _-]?secret)[\"']?\s*(?:=>?|:)\s*[\"']?(?P<it>[^\s\"',;]{6,})",
    ),
    Pattern("secret", r"[\w+=-]{24,}", _is_random),
    Pattern("email", rf"[^\s@{_MARKS}]+@(?:[^\s@.'!?{_MARKS}]+\.)+[^\s@.'!?\d{_MARKS}]{{2,}}"),
    Pattern("card", _BEFORE + r"(?P<it>\d(?:[ -]?\d){12,18})\b", _is_card),
    Pattern("phone", r"(?:^|[^\w+])(?P<it>\+[1-9](?:[ ()./-]{0,2}\d){7,14})\b"),
    Pattern("phone", _BEFORE + r"(?P<it>00[1-9](?:[ ()./-]{0,2}\d){7,13})\b"),
    Pattern("phone", r"(?:^|[^\w.(])(?P<it>\(?[2-9]\d\d\)?[ .-]{1,2}[2-9]\d\d[ .-]\d{4})\b"),
    Pattern("phone", _BEFORE + r"(?P<it>0[1-9](?:[ .-]\d\d){4})\b"),
    Pattern(
        "phone",
        r"(?:^|[^\w.(])(?P<it>\(?0[1-9]\d{1,4}\)?[ ./-]{1,3}\d{2,4}(?:[ .-]?\d{2,4}){1,3})\b",
        _is_dialled,
    ),
)
