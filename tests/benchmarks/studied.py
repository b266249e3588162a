"""A small study for tests: two tasks, a student that has to be shown how, a reference that is never wrong."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import small_to_large
from tests.compiler.scripted import Adder, said
from tests.compiler.served import Server, serving

ROWS = 20
TASK = """
import dspy
from smallforge import Chat, Program, Sampling, exact_match


def make_module():
    return {module}


def examples(split):
    start = {{"train": 0, "dev": 1000, "test": 2000}}[split]
    rows = [(n, n // 2) for n in range(start, start + 20)]
    return [
        dspy.Example(question=f"What is {{a}} + {{b}}?", answer=str(a + b)).with_inputs("question")
        for a, b in rows
    ]


def handpicked():
    shown = dspy.Example(question="What is 1 + 2?", reasoning="1 and 2 make 3", answer="3")
    return [shown.with_inputs("question")]


class TwoSteps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.Predict("question -> answer")
        self.second = dspy.ChainOfThought("question, sum -> answer")

    async def aforward(self, question):
        worked = await self.first.acall(question=question)
        return await self.second.acall(question=question, sum=worked.answer)


program = Program(
    "{name}", make_module, examples, exact_match("answer"),
    Chat(user="question", answer="answer", reasoning=({reasoning})), Sampling(max_tokens=64),
    handpicked={handpicked},
)
"""
SUMS = TASK.format(
    name="sums",
    module='dspy.ChainOfThought("question -> answer")',
    reasoning='"reasoning",',
    handpicked="handpicked",
)
STEPS = TASK.format(name="steps", module="TwoSteps()", reasoning="", handpicked="None")


def all_right(total: int) -> str:
    return said("it is easy", str(total))


@dataclass
class Scene:
    """A folder with both tasks, and the servers that are asked."""

    folder: Path
    student: Server
    reference: Server
    small: Adder
    large: Adder

    def arguments(self, *more: str, tasks: str = "./sums.py,./steps.py") -> list[str]:
        return [
            "--student", self.student.url, "--reference", self.reference.url, "--tasks", tasks,
            "--out", str(self.folder / "out"), *more,
        ]  # fmt: skip

    def run(self, *more: str, tasks: str = "./sums.py,./steps.py") -> int:
        """The study in this process; its exit code."""
        with contextlib.chdir(self.folder):
            return small_to_large.main(self.arguments(*more, tasks=tasks))

    @contextlib.contextmanager
    def started(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """The study as a process of its own, as a person starts it; killed when the block ends."""
        command = [sys.executable, small_to_large.__file__, *self.arguments(*more)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def asked(self) -> int:
        return self.small.calls + self.large.calls

    @property
    def text(self) -> str:
        return (self.folder / "out" / "table.md").read_text()

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "out" / "result.json").read_text()))

    def rows(self, task: str) -> dict[str, dict[str, Any]]:
        """The rows of a task in the result by side and name."""
        return {f"{row['side']} {row['name']}": row for row in self.result["tasks"][task]["rows"]}

    def scores(self, task: str) -> dict[str, float | None]:
        """The mean of each row, None where there is none."""
        return {
            name: row["measured"] and row["measured"]["summary"]["mean"]
            for name, row in self.rows(task).items()
        }

    def cells(self) -> set[str]:
        home = self.folder / "out" / "cells"
        return {path.relative_to(home).as_posix() for path in home.glob("*/*.json")}


@contextlib.contextmanager
def scene(folder: Path, pause: float = 0.0) -> Iterator[Scene]:
    (folder / "sums.py").write_text(SUMS)
    (folder / "steps.py").write_text(STEPS)
    small, large = Adder(pause=pause), Adder(spoil=all_right)
    with ExitStack() as opened:
        student, reference = (opened.enter_context(serving(model)) for model in (small, large))
        reference.name = "large"
        yield Scene(folder, student, reference, small, large)
