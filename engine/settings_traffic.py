"""The traffic log: whether one is kept, for how long, and what is taken out of it beside what always is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class TrafficSettings:
    """`log` is the word of whoever runs a gateway without keys; where there are keys, each has its own.

    `patterns` are regular expressions of RE2 by the word that stands in the place of what they find.
    """

    log: bool = False
    retention_days: float = 30.0
    patterns: Mapping[str, str] = field(default_factory=dict)


class Traffic(BaseModel):
    """[gateway.traffic]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: bool = False
    retention_days: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    patterns: dict[str, str] = {}


def traffic_mistakes(traffic: Traffic) -> Iterator[str]:
    for name in traffic.patterns:
        if not _NAME.fullmatch(name):
            yield (
                f"gateway.traffic.patterns: {name!r} is no word for what a pattern finds; write small "
                "letters, digits, '_' and '-', as in 'customer'"
            )
