"""Questions that take two of ten given paragraphs to answer (HotpotQA, distractor setting)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from programs.metrics import exact_match, token_f1, weighted_sum
from programs.program import Chat, Program, Sampling, Split
from programs.tasks.hotpotqa_rows import Question, as_text, questions, read_question
from programs.titles import joined, title_recall

if TYPE_CHECKING:
    import dspy

# Written for this file: paragraphs, question, titles, answer.
HANDPICKED = (
    (
        "Brindle Quay | Brindle Quay is a harbour on the north shore of Lake Osmere.\n"
        "Tamsin Orrell | Tamsin Orrell (1902-1970) was a shipwright born in Brindle Quay.\n"
        "Osmere Regatta | The Osmere Regatta is held every June.",
        "On which lake does the town lie where the shipwright Tamsin Orrell was born?",
        ("Tamsin Orrell", "Brindle Quay"),
        "Lake Osmere",
    ),
    (
        "The Copper Hare | The Copper Hare is a novel of 1921 by Emil Dasch.\n"
        "Stone Sparrows | Stone Sparrows is a novel of 1934 by Ruth Amberley.\n"
        "Emil Dasch | Emil Dasch taught Latin in Vellin.",
        "Which novel came out first, The Copper Hare or Stone Sparrows?",
        ("The Copper Hare", "Stone Sparrows"),
        "The Copper Hare",
    ),
    (
        "Pell Tower | Pell Tower is a clock tower in the town of Vellin.\n"
        "Vellin | Vellin is a town of 6,000 people in the valley of the Arrow.\n"
        "Harl Tower | Harl Tower is a lighthouse on the island of Skarn.",
        "Are Pell Tower and Harl Tower both lighthouses?",
        ("Pell Tower", "Harl Tower"),
        "no",
    ),
)


def make_module() -> dspy.Module:
    import dspy

    class GivenParagraphs(dspy.Signature):
        """Answer the question from the paragraphs. The answer rests on two of them."""

        context: str = dspy.InputField(desc="paragraphs, one a line: title | text")
        question: str = dspy.InputField()
        titles: str = dspy.OutputField(
            desc="titles of the paragraphs that the answer rests on, with | between"
        )
        answer: str = dspy.OutputField(desc="a name, a number or a few words; or yes or no")

    return dspy.Predict(GivenParagraphs)


def examples(split: Split) -> Sequence[dspy.Example]:
    """Questions with their ten paragraphs; a split that the source lacks is empty."""
    return [as_example(question) for question in questions(split)]


def as_fields(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A row in the program's own form, whose context is one text, or in a published one."""
    if isinstance(row.get("context"), str):
        return [row]
    return [dict(as_example(read_question(row)).items())]


def as_example(question: Question) -> dspy.Example:
    """The question as the program sees it, with the titles that a right answer names."""
    import dspy

    return dspy.Example(
        context=as_text(question.paragraphs),
        question=question.text,
        titles=joined(question.titles),
        answer=question.answer,
    ).with_inputs("context", "question")


def handpicked() -> Sequence[dspy.Example]:
    """Questions with fewer paragraphs, written for this program."""
    import dspy

    return [
        dspy.Example(context=context, question=question, titles=joined(titles), answer=answer).with_inputs(
            "context", "question"
        )
        for context, question, titles, answer in HANDPICKED
    ]


# The official measures of an answer, and how many of the right paragraphs are named. A right answer that
# names none of them is still fit to be a demonstration: 4 of 5 is 0.8.
METRIC = weighted_sum(
    (exact_match("answer", normalise=True), 2), (token_f1("answer"), 2), (title_recall("titles"), 1)
)

program = Program(
    name="hotpotqa",
    make_module=make_module,
    examples=examples,
    metric=METRIC,
    chat=Chat(user="question", answer="answer", system="context", reasoning=("titles",)),
    sampling=Sampling(temperature=0.0, max_tokens=128),
    description="Questions that take two of ten given paragraphs to answer.",
    handpicked=handpicked,
    as_fields=as_fields,
)
