"""Questions that take two searches to answer: search, write a second query, search again, answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from programs.bm25 import BM25, index_folder
from programs.program import Chat, Program, Sampling, Split
from programs.retrieval import Passage, Retriever, open_retriever, retriever_setting
from programs.tasks.hotpotqa import HANDPICKED, METRIC
from programs.tasks.hotpotqa_rows import Question, as_text, corpus, questions, read_question

if TYPE_CHECKING:
    import dspy

PASSAGES = 3  # of each search


def two_hops(retriever: Retriever, passages: int = PASSAGES) -> dspy.Module:
    """The module over any retriever; it must not be one that DSPy would copy or save."""
    import dspy
    from dspy.utils.exceptions import AdapterParseError

    class SecondQuery(dspy.Signature):
        """Write a short search query for what the passages do not yet tell and the question needs."""

        found: str = dspy.InputField(desc="passages, one a line: title | text")
        question: str = dspy.InputField()
        query: str = dspy.OutputField(desc="a title or a few words to search for")

    class FromPassages(dspy.Signature):
        """Answer the question from the passages. The answer rests on two of them."""

        context: str = dspy.InputField(desc="passages, one a line: title | text")
        question: str = dspy.InputField()
        answer: str = dspy.OutputField(desc="a name, a number or a few words; or yes or no")

    class TwoHops(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second_query = dspy.Predict(SecondQuery)
            self.answer = dspy.Predict(FromPassages)

        async def aforward(self, question: str) -> dspy.Prediction:
            found = list(dict.fromkeys(await retriever.search(question, passages)))
            query = await self._query(as_text(found), question)
            # What both searches find counts once, and the second makes up for it with what comes next.
            more = await retriever.search(query or question, 2 * passages)
            found += [passage for passage in dict.fromkeys(more) if passage not in found][:passages]
            said = await self.answer.acall(context=as_text(found), question=question)
            titles = list(dict.fromkeys(passage.title for passage in found))
            return dspy.Prediction(titles=titles, query=query, answer=said.answer)

        async def _query(self, found: str, question: str) -> str:
            """Empty where the reply holds none: then the question finds what comes next for it."""
            try:
                asked = await self.second_query.acall(found=found, question=question)
            except AdapterParseError:
                return ""
            return str(asked.query)

    return TwoHops()


def make_module() -> dspy.Module:
    """Over the retriever that SMALLFORGE_RETRIEVER names, else an index of the corpus of the rows."""
    setting = retriever_setting()
    return two_hops(open_retriever(setting) if setting else BM25(corpus(), index_folder()))


def examples(split: Split) -> Sequence[dspy.Example]:
    """Questions alone; a split that the source lacks is empty."""
    return [as_example(question) for question in questions(split)]


def as_fields(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A row in the program's own form, or in a published one, which brings paragraphs."""
    if not isinstance(row.get("context"), Mapping | list):
        return [row]
    return [dict(as_example(read_question(row)).items())]


def as_example(question: Question) -> dspy.Example:
    """The question; what the first search should find and the second should ask are labels."""
    import dspy

    return dspy.Example(
        question=question.text,
        titles=list(question.titles),
        answer=question.answer,
        **worked(question.text, question.supporting()),
    ).with_inputs("question")


def handpicked() -> Sequence[dspy.Example]:
    """The given-context program's, worked as this program works."""
    found = []
    for context, question, titles, answer in HANDPICKED:
        passages = [Passage(*line.split(" | ", 1)) for line in context.splitlines()]
        found.append(as_example(Question(question, answer, tuple(passages), titles)))
    return found


def worked(question: str, supporting: Sequence[Passage]) -> dict[str, Any]:
    """The steps of a right run: the paragraph nearest to the question is found, the other one asked for."""
    if len(supporting) != 2:
        return {}
    asked = set(question.lower().split())
    near, far = sorted(supporting, key=lambda passage: -len(asked & set(as_text([passage]).lower().split())))
    return {"found": as_text([near]), "query": far.title, "context": as_text([near, far])}


program = Program(
    name="hotpotqa_retrieval",
    make_module=make_module,
    examples=examples,
    metric=METRIC,
    chat=Chat(user="question", answer="answer", reasoning=("titles",)),
    sampling=Sampling(temperature=0.0, max_tokens=96),
    description="Questions that take two searches of a paragraph index to answer.",
    handpicked=handpicked,
    as_fields=as_fields,
    answered_by=("answer",),
)
