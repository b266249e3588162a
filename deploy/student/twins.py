"""Whether two servers run the same student: python deploy/student/twins.py URL URL [--examples N].

Compares what identifies a model, then greedy answers on test examples of the three tasks, without and with
demonstrations. Another engine or precision answers a few prompts otherwise, where two tokens are near a tie.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler.scoring import request_inputs
from deploy.student.score import plans
from engine.client import EngineClient, Reply
from engine.fingerprint import compare, take_fingerprint
from engine.student import STUDENT_NAME
from programs.execution import PlanExecutor
from programs.loading import load_program
from programs.plan import render

PROGRAMS = ("arithmetic", "order_entry", "passage_qa")
GREEDY = {"max_tokens": 200, "temperature": 0}


@dataclass(frozen=True)
class Compared:
    """Of so many prompts, how many were as long on both servers, and how many were answered alike."""

    prompts: int
    lengths: int
    answers: int


async def compare_answers(one: EngineClient, other: EngineClient, examples: int) -> Compared:
    """Every prompt is sent to both at the same time, one prompt after the other."""
    pairs = []
    for name in PROGRAMS:
        program = load_program(name)
        for _, plan in plans(program, Path("no-releases"))[:2]:
            executor = PlanExecutor(plan)
            for example in list(program.examples("test"))[:examples]:
                messages = [it.as_dict() for it in render(plan, request_inputs(executor, example))]
                asked = (client.complete(messages, GREEDY) for client in (one, other))
                pairs.append(await asyncio.gather(*asked))
    return Compared(
        prompts=len(pairs),
        lengths=sum(_prompt_tokens(a) == _prompt_tokens(b) for a, b in pairs),
        answers=sum(a.text == b.text for a, b in pairs),
    )


def _prompt_tokens(reply: Reply) -> int | None:
    return reply.usage.prompt_tokens if reply.usage is not None else None


async def report(one_url: str, other_url: str, examples: int) -> None:
    async with EngineClient(one_url, STUDENT_NAME) as one, EngineClient(other_url, STUDENT_NAME) as other:
        for difference in compare(await take_fingerprint(one), await take_fingerprint(other)):
            print(difference.sentence)
        found = await compare_answers(one, other, examples)
    print(f"{found.prompts} prompts: {found.lengths} of equal length, {found.answers} answered alike")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare two servers of the bundled student.")
    parser.add_argument("one", metavar="URL")
    parser.add_argument("other", metavar="URL")
    parser.add_argument("--examples", type=int, default=100, help="of each program [100]")
    options = parser.parse_args()
    asyncio.run(report(options.one, options.other, options.examples))


if __name__ == "__main__":
    main()
