"""Grade-school word problems (GSM8K): work it out, then give the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from programs.metrics import numeric_match
from programs.program import Chat, Program, Sampling, Split
from programs.tasks.gsm8k_rows import WordProblem, read_word_problem, word_problems

if TYPE_CHECKING:
    import dspy

# Written for this file: question, working, answer.
HANDPICKED = (
    (
        "A bakery bakes 6 trays of 12 rolls in the morning and sells 50 rolls by noon. How many are left?",
        "The bakery bakes 6 x 12 = 72 rolls. After selling 50 it has 72 - 50 = 22 rolls left.",
        "22",
    ),
    (
        "Tom is three times as old as his sister, who is 7. How old will Tom be in 5 years?",
        "Tom is 3 x 7 = 21 years old now. In 5 years he will be 21 + 5 = 26.",
        "26",
    ),
    (
        "A bus ticket costs $2.50 and a weekly pass $18. Ana rides the bus twice a day on five days a week. "
        "How many dollars does she save each week with the pass?",
        "Ana rides 2 x 5 = 10 times a week. Tickets would cost 10 x 2.50 = 25 dollars. With the pass she "
        "saves 25 - 18 = 7 dollars.",
        "7",
    ),
    (
        "A tank holds 240 litres. It is a quarter full, and a hose adds 15 litres a minute. How many minutes "
        "does it take to fill the tank?",
        "The tank holds 240 / 4 = 60 litres now, so 240 - 60 = 180 litres are missing. At 15 litres a minute "
        "that takes 180 / 15 = 12 minutes.",
        "12",
    ),
)


def make_module() -> dspy.Module:
    import dspy

    class WordProblem(dspy.Signature):
        """Solve the problem step by step."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField(desc="the final number, digits only")

    return dspy.ChainOfThought(WordProblem)


def examples(split: Split) -> Sequence[dspy.Example]:
    """Problems with their published solution as reasoning; a split that the source lacks is empty."""
    return [as_example(problem) for problem in word_problems(split)]


def as_fields(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A row in the program's own form, or in a published one."""
    if "rationale" in row or "####" in str(row.get("answer")):
        return [dict(as_example(read_word_problem(row)).items())]
    return [row]


def as_example(problem: WordProblem) -> dspy.Example:
    """The problem as the program sees it; one without a solution has no reasoning."""
    import dspy

    told = {name: text for name, text in problem._asdict().items() if text}
    return dspy.Example(**told).with_inputs("question")


def handpicked() -> Sequence[dspy.Example]:
    """Problems with their working, written for this program."""
    import dspy

    return [
        dspy.Example(question=question, reasoning=reasoning, answer=answer).with_inputs("question")
        for question, reasoning, answer in HANDPICKED
    ]


program = Program(
    name="gsm8k",
    make_module=make_module,
    examples=examples,
    metric=numeric_match("answer"),
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(temperature=0.0, max_tokens=400),
    description="Grade-school word problems, worked out step by step.",
    handpicked=handpicked,
    as_fields=as_fields,
)
