"""Checks: what every answer of a program must hold, whatever the model says.

Declared ones are data and travel in a plan; `satisfies` holds a function and keeps its program interpreted. A
reason names what is wrong and never quotes the answer, which may not be shown to anyone. What is checked was
written by strangers: every check takes time in proportion to the text, and no text over `LONGEST` characters
passes one, for a pattern `LONGEST_MATCHED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import ConfigDict, Discriminator
from pydantic_core import SchemaError, SchemaValidator, core_schema

from programs.errors import LoweringImpossible, ProgramInvalid
from programs.mentions import has_words, missing_terms

MOST_CHECK_RETRIES = 3
LONGEST = 100_000  # characters of one value
LONGEST_MATCHED = 20_000  # linear too, but the worst patterns take 100 microseconds a character
_LONGEST_PATTERN = 1_000
_SHOWN = 120  # characters of a value in a reason

ASK_AGAIN = "That answer can't be accepted: {reasons}. Write the whole answer again so that it can.\n\n{form}"
"""What the model is told after an answer that broke a check; `form` repeats which fields to write."""

_STRICT = ConfigDict(extra="forbid", strict=False)


class Check(Protocol):
    """Finds what is wrong with a run's outputs, given its inputs; None where nothing is."""

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None: ...


@dataclass(frozen=True)
class MustMention:
    """The output's text holds every term, and the value of the input `of`, as whole words in any case."""

    __pydantic_config__ = _STRICT

    field: str
    terms: tuple[str, ...] = ()
    of: str | None = None
    kind: Literal["must_mention"] = "must_mention"

    def __post_init__(self) -> None:
        if not self.terms and self.of is None:
            raise ProgramInvalid(f"must_mention({self.field!r}) names nothing: give terms, or of='an input'")
        for term in self.terms:
            if not has_words(term):
                raise ProgramInvalid(f"must_mention({self.field!r}) can't look for {term!r}: it has no words")

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        text = "\n".join(_texts(outputs.get(self.field)))
        given = _texts(inputs.get(self.of)) if self.of is not None else []
        if any(len(value) > LONGEST for value in (text, *given)):
            return _too_long(self.field, LONGEST)
        wanted = [*self.terms, *(value for value in given if has_words(value))]
        missing = ", ".join(repr(_cut(term)) for term in missing_terms(text, wanted))
        return f"{self.field!r} must mention {missing}" if missing else None


@dataclass(frozen=True)
class IsOneOf:
    """The output, or each item of a list, is one of the choices exactly."""

    __pydantic_config__ = _STRICT

    field: str
    choices: tuple[str | int | float | bool, ...]
    kind: Literal["is_one_of"] = "is_one_of"

    def __post_init__(self) -> None:
        if not self.choices:
            raise ProgramInvalid(f"is_one_of({self.field!r}) has no choices: name at least one")

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        if all(any(_same(item, choice) for choice in self.choices) for item in _items(outputs, self.field)):
            return None
        return f"{self.field!r} must be one of {', '.join(map(repr, self.choices))}"


@dataclass(frozen=True)
class Matches:
    """The output's whole text, or that of each item of a list, matches the pattern.

    The syntax is that of Rust's regex: Python's without look-around and backreferences, which is what lets
    it match any text in linear time.
    """

    __pydantic_config__ = _STRICT

    field: str
    pattern: str
    kind: Literal["matches"] = "matches"

    def __post_init__(self) -> None:
        if len(self.pattern) > _LONGEST_PATTERN:
            raise ProgramInvalid(
                f"the pattern of matches({self.field!r}) has {len(self.pattern)} characters: "
                f"{_LONGEST_PATTERN} are allowed"
            )
        # Alone first: a pattern such as "a)|(b" would otherwise escape the group around it.
        _compile(self.field, self.pattern)
        self._whole  # noqa: B018 - compiled when declared, not at the first answer

    @cached_property
    def _whole(self) -> SchemaValidator:
        return _compile(self.field, rf"\A(?:{self.pattern})\z")

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        texts = [str(item) for item in _items(outputs, self.field)]
        if any(len(text) > LONGEST_MATCHED for text in texts):
            return _too_long(self.field, LONGEST_MATCHED)
        if outputs.get(self.field) is not None and all(map(self._whole.isinstance_python, texts)):
            return None
        return f"{self.field!r} must match {self.pattern!r} as a whole"


@dataclass(frozen=True)
class Satisfies:
    """A function of the program's own is true of the outputs; `name` says what it wants."""

    name: str
    function: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
    """Takes the inputs and the outputs by their names."""

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        return None if self.function(inputs, outputs) else f"it must satisfy {self.name!r}"


@dataclass(frozen=True)
class MentionsOneOf:
    """The output mentions one of the terms at least, where every input of `when` mentions one of its own."""

    __pydantic_config__ = _STRICT

    field: str
    terms: tuple[str, ...]
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    kind: Literal["mentions_one_of"] = "mentions_one_of"

    def __post_init__(self) -> None:
        for terms in (self.terms, *(terms for _, terms in self.when)):
            if not terms or not all(map(has_words, terms)):
                raise ProgramInvalid(f"mentions_one_of({self.field!r}) can't look for {terms!r}: name words")

    def problem(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str | None:
        for name, terms in self.when:
            # The beginning decides: an input may be of any length, and an answer can't mend it.
            given = "\n".join(_texts(inputs.get(name)))[:LONGEST]
            if not _mentions_any(given, terms):
                return None
        text = "\n".join(_texts(outputs.get(self.field)))
        if len(text) > LONGEST:
            return _too_long(self.field, LONGEST)
        if _mentions_any(text, self.terms):
            return None
        return f"{self.field!r} must mention one of {', '.join(map(repr, self.terms))}"


DeclaredCheck = Annotated[MustMention | IsOneOf | Matches | MentionsOneOf, Discriminator("kind")]
"""A check that is data, as a plan holds it."""


def must_mention(field: str, *terms: str, of: str | None = None) -> MustMention:
    """The output mentions every term as whole words, whatever their case; with `of`, an input's value too."""
    return MustMention(field, terms, of)


def mentions_one_of(
    field: str, *terms: str, when: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> MentionsOneOf:
    """The output mentions one of these, where each input that `when` names mentions one of its words."""
    return MentionsOneOf(field, terms, tuple((name, tuple(words)) for name, words in when.items()))


def is_one_of(field: str, *choices: str | int | float | bool) -> IsOneOf:
    """The output, or each item of a list, is one of these."""
    return IsOneOf(field, choices)


def matches(field: str, pattern: str) -> Matches:
    """The output's whole text matches a regular expression."""
    return Matches(field, pattern)


def satisfies(name: str, function: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]) -> Satisfies:
    """`function(inputs, outputs)` is true; a program with such a check is served by DSPy, not by a plan."""
    return Satisfies(name, function)


class Broken(NamedTuple):
    """A check that the outputs break, and why."""

    check: Check
    reason: str

    @property
    def field(self) -> str | None:
        """The output that it is about; None where a function looks at all of them."""
        return getattr(self.check, "field", None)


def broken(checks: Sequence[Check], inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[Broken]:
    """Every check that the outputs break; they may be given out where there is none."""
    found = ((check, check.problem(inputs, outputs)) for check in checks)
    return [Broken(check, reason) for check, reason in found if reason is not None]


def broken_by_label(checks: Sequence[Check], example: Mapping[str, Any]) -> str | None:
    """Why an example's own answer, in all its variants, would be refused; a function is not asked."""
    for check in checks:
        field = getattr(check, "field", None)
        label = example.get(field) if field is not None else None
        if field is None or label is None:
            continue
        variants = [label, *label] if isinstance(label, list) else [label]
        reasons = [check.problem(example, {field: value}) for value in variants]
        if all(reasons):
            return reasons[0]
    return None


def declared(checks: Sequence[Check]) -> tuple[DeclaredCheck, ...]:
    """The checks, where all of them are data.

    Raises:
        LoweringImpossible: one of them is code; names it.
    """
    found: list[DeclaredCheck] = []
    for check in checks:
        if not isinstance(check, MustMention | IsOneOf | Matches | MentionsOneOf):
            name = getattr(check, "name", type(check).__name__)
            raise LoweringImpossible(f"its check {name!r} is a function, which no plan can hold")
        found.append(check)
    return tuple(found)


def refuse_unknown_fields(checks: Sequence[Check], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raises ProgramInvalid where a check names an output or an input that the program does not have."""
    for check in checks:
        field, of = getattr(check, "field", None), getattr(check, "of", None)
        unknown = [name for name, _ in getattr(check, "when", ()) if name not in inputs]
        of = unknown[0] if unknown else of
        if field is not None and field not in outputs:
            raise ProgramInvalid(f"a check names the output {field!r}: the outputs are {', '.join(outputs)}")
        if of is not None and of not in inputs:
            raise ProgramInvalid(f"a check names the input {of!r}: the inputs are {', '.join(inputs)}")


def _compile(field: str, pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = str(error).strip().rpartition("\n")[2].strip().removeprefix("error: ")
        raise ProgramInvalid(f"matches({field!r}) can't use the pattern {pattern!r}: {reason}") from error


def _items(outputs: Mapping[str, Any], field: str) -> list[Any]:
    value = outputs.get(field)
    return value if isinstance(value, list) else [value]


def _mentions_any(text: str, terms: Sequence[str]) -> bool:
    return len(missing_terms(text, terms)) < len(terms)


def _texts(value: Any) -> list[str]:
    """A value's texts; none where there is no value."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _same(value: Any, choice: Any) -> bool:
    # Python's True equals 1.
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _too_long(field: str, longest: int) -> str:
    return f"{field!r} can't be checked: a text is longer than {longest} characters"
