"""What the command line of a study says, read once into values."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.study_cells import PLAIN, Shelf
from benchmarks.study_models import Named, PriceGiven
from benchmarks.study_run import ALL, QUICK, Terms, wants_proposer
from benchmarks.study_tasks import Drawing
from benchmarks.surroundings import BenchmarkFailed
from compiler.optimizers.table import optimizer_name
from compiler.spending import Ceiling
from programs import PROGRAMS

NO_PROPOSER = "left out: it needs a model that writes instructions, --proposer"


@dataclass(frozen=True)
class Options:
    """What the command line says, read."""

    named: Named
    tasks: tuple[str, ...]
    optimizers: tuple[str, ...]
    drawing: Drawing
    terms: Terms
    shelf: Shelf
    wait: float = 0.0
    retry: bool = False
    write_docs: bool = False

    @property
    def left_out(self) -> dict[str, str]:
        """Optimisers that nobody could write instructions for, with the reason."""
        wanting = [] if self.named.writes else filter(wants_proposer, self.optimizers)
        return dict.fromkeys(wanting, NO_PROPOSER)

    @property
    def built(self) -> list[str]:
        return [name for name in self.optimizers if name not in self.left_out]

    def as_named(self) -> dict[str, Any]:
        """The models as the command names them, as JSON keeps it."""
        told = {name: value for name, value in asdict(self.named).items() if name != "config"}
        return dict(json.loads(json.dumps(told)))

    def as_asked(self) -> dict[str, Any]:
        return {
            "rows": self.drawing.rows,
            "seed": self.terms.seed,
            "concurrency": self.terms.concurrency,
        }


def read_options(asked: argparse.Namespace) -> Options:
    """
    Raises:
        BenchmarkFailed, OptimizerUnknown, SettingsInvalid: sentences for the person who runs it.
    """
    named = Named(
        reference=asked.reference,
        student=asked.student,
        teacher=asked.teacher,
        proposer=asked.proposer,
        student_price=_price(asked, "student"),
        reference_price=_price(asked, "reference"),
        config=asked.config,
    )
    settings = named.settings()
    ceiling = Ceiling(asked.max_usd or settings.compiler.max_usd, asked.max_calls)
    concurrency = asked.concurrency or settings.compiler.concurrency
    return Options(
        named=named,
        tasks=tuple(PROGRAMS) if asked.tasks is None else _listed(asked.tasks),
        optimizers=_optimizers(asked.optimizers),
        drawing=Drawing(asked.rows, asked.seed, settings.tables),
        terms=Terms(asked.seed, concurrency, ceiling, settings.tables),
        shelf=Shelf(asked.out),
        wait=asked.wait,
        retry=asked.retry_failed,
        write_docs=asked.write_docs,
    )


def _optimizers(asked: str) -> tuple[str, ...]:
    names = {"all": ALL, "quick": QUICK}.get(asked)
    named = names or tuple(dict.fromkeys(map(optimizer_name, _listed(asked))))
    return tuple(name for name in named if name != PLAIN)  # it is measured in any case


def _price(asked: argparse.Namespace, role: str) -> PriceGiven:
    per_hour, per_million = (getattr(asked, f"{role}_usd_per_{unit}") for unit in ("hour", "million"))
    if per_hour is not None and per_million is not None:
        raise BenchmarkFailed(f"the {role} has two prices: give one of --{role}-usd-per-hour and -million")
    return PriceGiven(per_hour, None if per_million is None else tuple(per_million))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    model = "a URL, a name of the configuration or provider/model"
    add("--student", metavar="MODEL", help=f"{model}; without it the configured student or the local engine")
    add("--reference", metavar="MODEL", required=True, help=f"{model}: what the student is held to")
    add("--teacher", metavar="MODEL", help="shows the student how; every build then measures it too")
    add("--proposer", metavar="MODEL", help="writes instructions for COPRO, MIPROv2, SIMBA, GEPA and others")
    add("--tasks", metavar="NAME,...", help="programs by name or file; without it all that are bundled")
    add("--optimizers", metavar="NAME,...", default="quick", help=f"or all, or quick: {', '.join(QUICK)}")
    add("--rows", type=int, metavar="N", help="at most so many rows each to train, select and test with")
    add("--seed", type=int, default=0, help="of the rows that are drawn and of every build")
    add("--concurrency", type=int, metavar="N", help="requests in flight [the configuration's, 16]")
    add("--max-usd", type=float, metavar="USD", help="of one build; it ends the search early")
    add("--max-calls", type=int, metavar="N", help="of one build; it ends the search early")
    for role in ("student", "reference"):
        add(f"--{role}-usd-per-hour", type=float, metavar="USD", help="where the configuration tells none")
        add(f"--{role}-usd-per-million", type=float, nargs=2, metavar=("IN", "OUT"), help="USD, by the token")
    add("--config", type=Path, metavar="FILE", help="[./smallforge.toml]")
    add("--out", type=Path, metavar="DIR", required=True, help="what is measured is kept there")
    add("--wait", type=float, default=0.0, metavar="SECONDS", help="for servers that are starting")
    add("--retry-failed", action="store_true", help="make failed cells again")
    add("--write-docs", action="store_true", help="put the result into docs/study.md")
    return made
