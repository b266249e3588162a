"""How many steps of a program a core runs, beside stock DSPy, where the model takes no time.

The program is two `dspy.ChainOfThought` in a row, which is a module of its own and runs interpreted. The
model answers at once from a script, as a real `dspy.LM` on both sides, so nothing but the machinery is
measured: formatting, the call, parsing, and for ours what a request needs besides, its own model and its
limits. All sides run by turns in one process; a step's time is that of the processor, whatever else the
machine does.

    python -m benchmarks.interpreted                     12 rounds of each side
    python -m benchmarks.interpreted --profile           where our side spends its time, function by function
    python -m benchmarks.interpreted --rounds 2 --no-result
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import dspy

from benchmarks.build import machine
from engine.chat import Delta, Reply, Usage
from engine.direct import DirectLM
from engine.lm import make_lm
from programs.interpreted import InterpretedExecutor
from programs.program import Chat, Program, Sampling

ROOT = Path(__file__).parent.parent
GOAL = 1000  # steps a second of a core
STEPS = 2  # of one run
AT_ONCE = 16
SAID = "[[ ## reasoning ## ]]\nSix times seven.\n\n[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]"

Ask = Callable[[], Awaitable[object]]
"""One run of the program."""


class TwoSteps(dspy.Module):
    """A guess, and an answer that knows it."""

    def __init__(self) -> None:
        super().__init__()
        self.guess = dspy.ChainOfThought("question -> answer")
        self.answer = dspy.ChainOfThought("question, guess -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        guess = await self.guess.acall(question=question)
        return await self.answer.acall(question=question, guess=guess.answer)


class Instant:
    """Says the same at once."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        return Reply(SAID, "", "stop", Usage(600, 30), "instant")

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        yield Delta(SAID, finish_reason="stop", usage=Usage(600, 30))


PROGRAM = Program(
    name="two_steps",
    make_module=TwoSteps,
    examples=lambda split: [],
    metric=lambda example, prediction, trace=None: 1.0,
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(max_tokens=256),
)
QUESTION = "Twelve trays of 8 rolls are baked and 70 rolls are sold. How many are left?"


def sides() -> dict[str, Ask]:
    """Stock DSPy as it comes, the same with what it keeps turned off, and ours."""
    module, model = TwoSteps(), Instant()
    lm = make_lm(model, "instant", PROGRAM.sampling.as_request())
    ours = InterpretedExecutor(TwoSteps(), PROGRAM, DirectLM)

    async def stock() -> object:
        with dspy.context(lm=lm, trace=[]):
            return await module.acall(question=QUESTION)

    async def stock_bare() -> object:
        with dspy.context(lm=lm, trace=None, disable_history=True):
            return await module.acall(question=QUESTION)

    async def interpreted() -> object:
        return await ours.run({"question": QUESTION}, model, {})

    return {"stock DSPy": stock, "stock, history and trace off": stock_bare, "ours": interpreted}


async def runs(ask: Ask, count: int) -> None:
    """So many runs, several at a time as a gateway has them."""

    async def some() -> None:
        for _ in range(count // AT_ONCE):
            await ask()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def seconds_per_step(ask: Ask, count: int) -> float:
    begun = time.process_time()
    asyncio.run(runs(ask, count))
    return (time.process_time() - begun) / (count * STEPS)


def measure(rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds of each side in each round; every second round goes backwards. Each side warms up first."""
    asked = sides()
    for ask in asked.values():
        seconds_per_step(ask, AT_ONCE * 2)
    found: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds):
        for name in sorted(asked, reverse=number % 2 == 1):
            found[name].append(seconds_per_step(asked[name], count))
    return found


def summarise(found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Steps a second by their median, and how many of each side's fit into one of ours, round by round."""
    ours = found["ours"]
    return {
        "rounds": len(ours),
        "steps_per_second": {name: 1 / median(seconds) for name, seconds in found.items()},
        "times_as_fast_as": {
            name: median(theirs / own for theirs, own in zip(seconds, ours, strict=True))
            for name, seconds in found.items()
            if name != "ours"
        },
    }


def table(report: Mapping[str, Any]) -> str:
    speeds, ratios = report["steps_per_second"], report["times_as_fast_as"]
    lines = [f"steps a second of one core, medians of {report['rounds']} rounds; the model takes no time"]
    for name, speed in speeds.items():
        beside = f"   ours is {ratios[name]:.2f} times as fast" if name in ratios else ""
        lines.append(f"{name:30} {speed:7.0f}{beside}")
    reached = "reached" if speeds["ours"] >= GOAL else "missed"
    return "\n".join([*lines, f"goal of {GOAL:,} steps a second: {reached}"])


def profile(count: int) -> None:
    ask = sides()["ours"]
    seconds_per_step(ask, AT_ONCE * 2)
    profiler = cProfile.Profile()
    profiler.enable()
    asyncio.run(runs(ask, count))
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--runs", type=int, default=480, help="of the program, in each round of each side")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--no-result", action="store_true", help="print only, write no file")
    asked = parser.parse_args()
    if asked.profile:
        profile(asked.runs)
        return
    found = measure(asked.rounds, asked.runs)
    report = summarise(found)
    print(table(report))
    if not asked.no_result:
        now = datetime.now(UTC)
        about = {"at": now.isoformat(timespec="seconds"), "machine": {**machine(), "dspy": version("dspy")}}
        path = ROOT / "benchmarks" / "results" / f"{now:%Y-%m-%d}-interpreted.json"
        path.write_text(json.dumps({**about, "report": report, "seconds_per_step": found}, indent=2) + "\n")
        print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
