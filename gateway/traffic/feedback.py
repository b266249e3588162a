"""What a client says of an answer: how good it is, what it is called, or what it should have been."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.errors import RequestInvalid
from programs.errors import ReplyUnparseable
from programs.json_values import JsonUnusable, read_json
from programs.plan import Field, fits
from programs.reader import parse_value
from programs.traffic import APPROVED, FEEDBACK_KINDS, REJECTED, FeedbackKind

MOST_COMMENT = 4_000  # characters
_RESPONSE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TAKEN = ("response_id", *FEEDBACK_KINDS, "comment")


class Feedback(NamedTuple):
    response_id: str
    kind: FeedbackKind
    value: Any
    comment: str | None


def read_feedback(data: bytes) -> Feedback:
    """The feedback in a body. Raises RequestInvalid."""
    body = _object(data)
    for name in body:
        if name not in _TAKEN:
            takes = ", ".join(map(repr, _TAKEN))
            raise RequestInvalid(f"Feedback has no field {name[:80]!r}; it has {takes}.", param=name[:80])
    response_id = body.get("response_id")
    if not isinstance(response_id, str) or not _RESPONSE.fullmatch(response_id):
        told = "'response_id' must be the id of a response of this gateway, such as 'chatcmpl-...'."
        raise RequestInvalid(told, param="response_id")
    kinds = [kind for kind in FEEDBACK_KINDS if kind in body]
    if len(kinds) != 1:
        raise RequestInvalid(f"Give one of 'score', 'label' and 'correction', not {len(kinds)} of them.")
    (kind,) = kinds
    _refuse(kind, _problem(kind, body[kind]))
    if "comment" in body and not (isinstance(body["comment"], str) and len(body["comment"]) <= MOST_COMMENT):
        _refuse("comment", f"must be a text of at most {MOST_COMMENT:,} characters")
    return Feedback(response_id, kind, body[kind], body.get("comment"))


def as_outputs(correction: Any, answer: str, outputs: Sequence[Field] | None) -> dict[str, Any]:
    """A correction as outputs by name: an object names them, anything else is the answer.

    `outputs` are those of the release that answered, None where it is gone by now. Raises RequestInvalid.
    """
    corrected = correction if isinstance(correction, dict) else {answer: correction}
    if outputs is None:
        return corrected
    fields = {field.name: field for field in outputs}
    for name in corrected:
        if name not in fields:
            known = ", ".join(fields)
            raise RequestInvalid(
                f"The response has no output {name[:80]!r}; it has {known}.", param="correction"
            )
    return {name: _typed(fields[name], value, correction) for name, value in corrected.items()}


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = read_json(data)
    except JsonUnusable as error:
        raise RequestInvalid(f"The body {error}.") from error
    if not isinstance(body, dict):
        raise RequestInvalid("The body must be a JSON object.")
    return body


def _typed(field: Field, value: Any, correction: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise RequestInvalid(f"The output {field.name!r} can't be empty.", param=f"correction.{field.name}")
    if fits(field, value):
        return value
    if value is correction and isinstance(value, str):
        # A person's words for the answer, which is a number, say: read as a model's words are.
        try:
            return parse_value(field, value)
        except ReplyUnparseable:
            pass
    kind = " or ".join(map(repr, field.choices)) or field.type
    raise RequestInvalid(f"The output {field.name!r} must be {kind}.", param=f"correction.{field.name}")


def _problem(kind: FeedbackKind, value: Any) -> str | None:
    match kind:
        case "score":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return None if number and 0 <= value <= 1 else "must be a number from 0 to 1"
        case "label":
            word = isinstance(value, str) and _LABEL.fullmatch(value)
            return None if word else f"must be one word, such as {APPROVED!r} or {REJECTED!r}"
        case "correction":
            return "must be the right answer, or name at least one output" if value in (None, {}) else None


def _refuse(name: str, problem: str | None) -> None:
    if problem is not None:
        raise RequestInvalid(f"'{name}' {problem}.", param=name, code="invalid_value")
