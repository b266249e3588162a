"""Measures the student for its model card: python deploy/student/score.py PROGRAM --url URL [--releases DIR].

One line each for the plain program, five random draws of demonstrations, demonstrations of another convention
and, when there is a release, what `compiler build` made of the program; on the test examples, greedily.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dspy

from compiler.candidate import PLAIN, Candidate, demo_of
from compiler.evaluation.statistics import mean_interval, paired_test
from compiler.lowering import lower
from compiler.scoring import request_inputs
from engine.client import EngineClient
from engine.errors import EngineError
from programs.aliases import read_aliases
from programs.errors import ProgramError
from programs.execution import Model, PlanExecutor, RunFailed
from programs.loading import load_program
from programs.plan import Plan
from programs.program import Program
from programs.release import read_release
from programs.tasks import arithmetic, order_entry, passage_qa

CONVENTIONAL = ("arithmetic", "order_entry", "passage_qa")
OTHERS = ("gsm8k", "hotpotqa", "scripture_qa", "teaching")
DEMONSTRATIONS = 4
DRAWS = 5
AT_ONCE = 16
OTHER = order_entry.Convention(quantity=1, date=2, amount=0, account=0, separator=1)


def misleading(program: Program) -> list[dict[str, Any]]:
    """Demonstrations of another convention than the house's; for word problems, of answering at once.

    Empty for programs that have no convention.
    """
    if program.name not in CONVENTIONAL:
        return []
    rng = random.Random(f"misleading {program.name}")
    if program.name == "order_entry":
        orders = [order_entry.draw_from(rng, "train") for _ in range(DEMONSTRATIONS)]
        return [{"message": order.message, "line": order.line(OTHER)} for order in orders]
    if program.name == "passage_qa":
        passages = [passage_qa.draw_any(rng, "train") for _ in range(DEMONSTRATIONS)]
        other = len(passage_qa.CONVENTIONS) - 1
        return [dict(passage_qa.as_example(passage, other)) for passage in passages]
    problems = [arithmetic.draw_from(rng, "train", 1 + n % 4) for n in range(DEMONSTRATIONS)]
    return [{"question": p.question, "reasoning": arithmetic.DIRECT, "answer": p.answer} for p in problems]


def plans(program: Program, releases: Path) -> list[tuple[str, Plan]]:
    """Every row's name and plan."""
    module = program.make_module()
    ((name, predictor),) = module.named_predictors()
    train = program.examples("train")
    candidates = [PLAIN]
    for seed in range(DRAWS):
        drawn = random.Random(seed).sample(list(train), DEMONSTRATIONS)
        demos = [demo_of(dict(example), predictor.signature) for example in drawn]
        candidates.append(Candidate(f"random {seed}", {name: demos}))
    if other := misleading(program):
        candidates.append(Candidate("other convention", {name: other}))
    rows = [(candidate.name, lower(module, program, candidate, None)) for candidate in candidates]
    aliases = read_aliases(releases / program.name)
    if aliases.candidate is not None:
        release = read_release(releases / program.name / aliases.candidate)
        if release.plan is not None:
            rows.append((f"compiled {aliases.candidate}", release.plan))
    return rows


async def score(
    program: Program, plan: Plan, examples: Sequence[dspy.Example], client: Model
) -> tuple[list[float], int]:
    """A score for each example, and how many replies could not be read."""
    executor, gate = PlanExecutor(plan), asyncio.Semaphore(AT_ONCE)

    async def one(example: dspy.Example) -> float | None:
        async with gate:
            try:
                outcome = await executor.run(request_inputs(executor, example), client, {})
            except RunFailed:
                return None
        if not outcome.complete and any(field.name not in outcome.outputs for field in executor.outputs):
            return None  # the token limit cut the reply before all its outputs had begun
        return float(program.metric(example, dspy.Prediction(**outcome.outputs)))

    scores = await asyncio.gather(*(one(example) for example in examples))
    return [value or 0.0 for value in scores], scores.count(None)


async def report(program: Program, url: str, model: str, releases: Path) -> None:
    examples = program.examples("test")
    plain: list[float] = []
    means: list[float] = []
    async with EngineClient(url, model) as client:
        for name, plan in plans(program, releases):
            scores, unreadable = await score(program, plan, examples, client)
            plain = plain or scores
            mean, low, high = (100 * value for value in mean_interval(scores))
            p = paired_test(plain, scores).p
            print(
                f"{program.name}  {name:26} {mean:5.1f}  {low:.1f} to {high:.1f}  "
                f"n {len(scores)}  unparseable {unreadable}  p against unoptimised {p:.1e}",
                flush=True,
            )
            if name.startswith("random"):
                means.append(mean)
    print(f"{program.name}  {'mean of the random draws':26} {statistics.fmean(means):5.1f}", flush=True)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the bundled student.")
    parser.add_argument("program", choices=(*CONVENTIONAL, *OTHERS))
    parser.add_argument("--url", default="http://127.0.0.1:8100")
    parser.add_argument("--model", default="student", help="the name that the engine serves it under")
    parser.add_argument("--releases", type=Path, default=Path("releases"))
    options = parser.parse_args(given)
    try:
        asyncio.run(report(load_program(options.program), options.url, options.model, options.releases))
    except (EngineError, ProgramError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
