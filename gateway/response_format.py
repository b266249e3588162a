"""`response_format`: a program's outputs as one JSON object, within the client's schema where it gives one.

What a schema asks and the program can never give is refused before the program runs; what a run then gives
is checked before it is sent. Values are never part of a message: an answer that is not sent is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import RequestInvalid, SchemaBroken
from gateway.schema_fit import SchemaFit
from programs.json_schema import DEEPEST, JsonSchema, SchemaUnusable
from programs.json_values import write_json
from programs.plan import Field


@dataclass(frozen=True)
class JsonFormat:
    """Content as JSON; without a schema every object of outputs will do."""

    schema: JsonSchema | None = None
    root: Mapping[str, Any] = field(default_factory=dict)
    """What the schema says of the object as a whole."""

    def refuse_unmeetable(self, outputs: Sequence[Field]) -> None:
        """Raises RequestInvalid where no run of a program with these outputs could meet the schema."""
        if self.schema is None:
            return
        try:
            why = SchemaFit(self.schema).never(self.root, outputs)
        except SchemaUnusable as error:
            raise _unusable(error) from error
        if why is not None:
            raise RequestInvalid(
                f"The program can't meet the schema of 'response_format': {why}.",
                param="response_format",
                code="schema_unmeetable",
            )

    def content(self, outputs: Mapping[str, Any]) -> str:
        """The outputs that the schema takes, as JSON.

        Raises:
            SchemaBroken: they are not as the schema asks.
        """
        if self.schema is None:
            return write_json(dict(outputs)).decode()
        others = self.root.get("additionalProperties") is not False
        named = self.root.get("properties", {})
        data = write_json({name: value for name, value in outputs.items() if others or name in named})
        try:
            # What is checked is what is sent: JSON knows fewer kinds of values than a program.
            problem = self.schema.problem(json.loads(data))
        except SchemaUnusable as error:
            raise _unusable(error) from error
        if problem is not None:
            told = f"The program's answer does not fit the schema of 'response_format': {problem}."
            raise SchemaBroken(told)
        return data.decode()


def read_response_format(value: Mapping[str, Any]) -> JsonFormat | None:
    """The format in a request's field, None for plain text.

    Raises:
        RequestInvalid: its schema can't be used.
    """
    if value["type"] != "json_schema":
        return JsonFormat() if value["type"] == "json_object" else None
    wanted = value.get("json_schema")
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("name"), str):
        raise RequestInvalid(
            "'response_format.json_schema' must be an object with a name and a schema.",
            param="response_format",
            code="invalid_value",
        )
    given = wanted.get("schema")
    try:
        schema = JsonSchema({"type": "object"} if given is None else given)
        return JsonFormat(schema, _root_of(schema))
    except SchemaUnusable as error:
        raise _unusable(error) from error


def _root_of(schema: JsonSchema) -> Mapping[str, Any]:
    """What is said of the object as a whole: one plain object schema, as OpenAI wants it too."""
    root, followed = schema.root, 0
    while isinstance(root, Mapping) and "$ref" in root and followed < DEEPEST:
        root, followed = schema.targets[root["$ref"]], followed + 1
    if not isinstance(root, Mapping) or root.get("type") != "object":
        raise SchemaUnusable("at its root 'type' must be 'object', for the program's outputs are one")
    for keyword in ("anyOf", "allOf", "oneOf", "enum", "const", "$ref"):
        if keyword in root:
            raise SchemaUnusable(f"{keyword!r} is not supported at its root")
    return root


def _unusable(error: SchemaUnusable) -> RequestInvalid:
    told = f"The schema of 'response_format' can't be used: {error}."
    return RequestInvalid(told, param="response_format", code="invalid_schema")
