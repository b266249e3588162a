"""Optimisers by name. One that is asked for by no name here joins by one line in `OPTIMIZERS`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate
from compiler.errors import OptimizerUnknown
from compiler.estimate import Runs
from compiler.optimizers.arguments import made
from compiler.optimizers.auto import Auto
from compiler.optimizers.better_together import BetterTogether
from compiler.optimizers.bootstrap import BootstrapFewShot
from compiler.optimizers.copro import COPRO
from compiler.optimizers.ensemble import Ensemble
from compiler.optimizers.gepa import GEPA
from compiler.optimizers.knn import KNNFewShot
from compiler.optimizers.labeled import LabeledFewShot
from compiler.optimizers.mipro import MIPROv2
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.optimizers.simba import SIMBA


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
    "COPRO": COPRO,
    "MIPROv2": MIPROv2,
    "SIMBA": SIMBA,
    "GEPA": GEPA,
    "BetterTogether": BetterTogether,
    "auto": Auto,
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
    optimizer: Optimizer = made(name, OPTIMIZERS[name], arguments)
    return optimizer
