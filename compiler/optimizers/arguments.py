"""Makes an optimiser from its class and its arguments, or says everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compiler.errors import ArgumentInvalid


def made(name: str, kind: Any, arguments: Mapping[str, object]) -> Any:
    """An instance of the dataclass `kind`, which is called `name`.

    Raises:
        ArgumentInvalid: it doesn't take one of the arguments, or not that value; says all of it.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(arguments))
    except ValidationError as error:
        problems = "; ".join(_problem(found) for found in error.errors(include_url=False))
        takes = ", ".join(f"{field.name}={field.default!r}" for field in fields(kind)) or "no arguments"
        raise ArgumentInvalid(f"{name}: {problems} (it takes {takes})") from error


def _problem(found: Any) -> str:
    argument = str(found["loc"][0]) if found["loc"] else "arguments"
    if found["type"] == "unexpected_keyword_argument":
        return f"there is no argument {argument!r}"
    return f"{argument}={found['input']!r}: {found['msg'].lower()}"
