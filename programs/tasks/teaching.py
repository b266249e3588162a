"""Answers to a student that teach: they use what the lesson is about and lead the student on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs.data import HubDataset, benchmark_rows, data_folder, data_is_named, read_rows
from programs.errors import DataInvalid
from programs.judged_metrics import judged_by_rubric
from programs.program import Chat, Program, Sampling, Split
from programs.tasks.lesson_rows import lessons_of
from programs.tasks.pedagogy import RUBRIC, teaching_score

if TYPE_CHECKING:
    import dspy

LESSONS = Path(__file__).parent / "lessons"
MATHDIAL = HubDataset("eth-nlped/mathdial", "default", {"train": "train", "test": "test"})
INPUTS = ("query", "context", "grade", "subject")

# Written for this program: subject, grade, query, context, response.
HANDPICKED = (
    (
        "mathematics",
        "6",
        "Why is 0.5 the same as 1/2?",
        "The first digit after the decimal point counts tenths. Five tenths are one half.",
        "Look at the place of the 5: the first digit after the decimal point counts tenths, so 0.5 is five "
        "tenths. Now think of a bar cut into ten pieces. Five of them are exactly half of it. What fraction "
        "is 0.2, then?",
    ),
    (
        "physics",
        "7",
        "Why do astronauts float in the space station?",
        "The station and everything in it fall around the Earth together. Gravity is still there.",
        "It looks as if gravity were gone, but it is still there. The station falls around the Earth all the "
        "time, and the astronauts fall with it, so nothing presses them to the floor. Imagine a lift whose "
        "rope is cut: what would you feel inside?",
    ),
    (
        "English",
        "5",
        "What is a synonym?",
        "Synonyms are words with nearly the same meaning. Antonyms have opposite meanings.",
        "Synonyms are words with nearly the same meaning, for example big and large. They help you to write "
        "without saying the same word again. Antonyms are the opposite, such as big and small. Can you find "
        "a synonym for happy?",
    ),
)


def make_module() -> dspy.Module:
    import dspy

    class Teach(dspy.Signature):
        """Teach the student: use the context, explain in words for the grade, then ask a question back."""

        query: str = dspy.InputField(desc="what the student says")
        context: str | None = dspy.InputField(desc="what the lesson is about")
        grade: str | None = dspy.InputField(desc="the student's grade")
        subject: str | None = dspy.InputField()
        response: str = dspy.OutputField(desc="what the teacher says to the student")

    return dspy.Predict(Teach)


def examples(split: Split) -> Sequence[dspy.Example]:
    """Lessons written for this program, or the public ones from where SMALLFORGE_DATA says.

    A split that the source lacks is empty.

    Raises:
        DataInvalid: there are no such lessons, or bad ones; carries all of them.
    """
    if not data_is_named():
        return as_examples([row.values for row in read_rows(LESSONS / f"{split}.jsonl")], f"{split}.jsonl")
    return published(split, data_folder())


def published(split: Split, folder: Path | None = None) -> Sequence[dspy.Example]:
    """The public MathDial conversations: from the folder, else by the `datasets` library."""
    return as_examples(benchmark_rows("teaching", split, MATHDIAL, folder), f"teaching {split}")


def as_examples(rows: Sequence[Mapping[str, Any]], called: str) -> list[dspy.Example]:
    """The lessons of rows in any form that `lesson_rows` knows."""
    import dspy

    lessons: list[dict[str, Any]] = []
    mistakes = []
    for number, row in enumerate(rows, start=1):
        try:
            lessons += lessons_of(row)
        except DataInvalid as error:
            mistakes += [f"{called} row {number}: {mistake}" for mistake in error.mistakes]
    if mistakes:
        raise DataInvalid(mistakes)
    return [dspy.Example(**lesson).with_inputs(*INPUTS) for lesson in lessons]


def handpicked() -> Sequence[dspy.Example]:
    """Lessons of no split, written for this program."""
    fields = ("subject", "grade", "query", "context", "response")
    return as_examples([dict(zip(fields, lesson, strict=True)) for lesson in HANDPICKED], "hand-picked")


program = Program(
    name="teaching",
    make_module=make_module,
    examples=examples,
    metric=teaching_score("response", "context", "query"),
    chat=Chat(user="query", answer="response", system="context"),
    sampling=Sampling(temperature=0.0, max_tokens=256),
    description="Answers to a student that teach, from the lesson's context, for a grade and a subject.",
    second_opinion=judged_by_rubric("response", RUBRIC),
    handpicked=handpicked,
    as_fields=lessons_of,
)
