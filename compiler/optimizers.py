"""Optimisers by name. One that is asked for by no name here joins by one line in `OPTIMIZERS`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from pydantic import ConfigDict, TypeAdapter, ValidationError

from compiler.bench import Bench
from compiler.bootstrap import BootstrapFewShot
from compiler.candidate import PLAIN, Candidate
from compiler.ensemble import Ensemble
from compiler.errors import ArgumentInvalid, OptimizerUnknown
from compiler.estimate import Runs
from compiler.knn import KNNFewShot
from compiler.labeled import LabeledFewShot
from compiler.random_search import BootstrapFewShotWithRandomSearch


class Optimizer(Protocol):
    """Finds prompts for a program: reads `bench.train`, selects with `bench.dev`."""

    async def optimise(self, bench: Bench) -> Candidate: ...


@dataclass(frozen=True)
class Unchanged:
    """Keeps the program as it is."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    async def optimise(self, bench: Bench) -> Candidate:
        return PLAIN

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        return Runs()


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    "none": Unchanged,
    "LabeledFewShot": LabeledFewShot,
    "BootstrapFewShot": BootstrapFewShot,
    "BootstrapFewShotWithRandomSearch": BootstrapFewShotWithRandomSearch,
    "KNNFewShot": KNNFewShot,
    "Ensemble": Ensemble,
}


def optimizer_name(asked: str) -> str:
    """The name as it stands in the table; upper and lower case are the same.

    Raises:
        OptimizerUnknown: there is none; names the nearest and all.
    """
    by_lower = {name.lower(): name for name in OPTIMIZERS}
    if asked.lower() in by_lower:
        return by_lower[asked.lower()]
    near = difflib.get_close_matches(asked.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
    raise OptimizerUnknown(f"no optimizer {asked!r}: known are {', '.join(OPTIMIZERS)}{hint}")


def make_optimizer(asked: str, arguments: Mapping[str, object]) -> Optimizer:
    """The optimiser of that name with its arguments, all of which are checked.

    Raises:
        OptimizerUnknown: there is none of that name.
        ArgumentInvalid: it doesn't take one of the arguments, or not that value; says all of it.
    """
    name = optimizer_name(asked)
    kind: Any = OPTIMIZERS[name]
    try:
        made: Optimizer = TypeAdapter(kind).validate_python(dict(arguments))
    except ValidationError as error:
        problems = "; ".join(_problem(found) for found in error.errors(include_url=False))
        takes = ", ".join(f"{field.name}={field.default!r}" for field in fields(kind)) or "no arguments"
        raise ArgumentInvalid(f"{name}: {problems} (it takes {takes})") from error
    return made


def _problem(found: Any) -> str:
    argument = str(found["loc"][0]) if found["loc"] else "arguments"
    if found["type"] == "unexpected_keyword_argument":
        return f"there is no argument {argument!r}"
    return f"{argument}={found['input']!r}: {found['msg'].lower()}"
