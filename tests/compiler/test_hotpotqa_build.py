"""Builds of the two-paragraph programs, by a model that reads its paragraphs once it was shown how."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import orjson
import pytest

from compiler.build import build
from compiler.errors import ModelUnusable
from compiler.events import BuildResult, Finished
from compiler.request import BuildRequest, Cast
from engine.chat import Delta, Reply, Usage
from engine.errors import ContextWindowExceeded
from programs.bm25 import BM25
from programs.program import SPLITS, Program, Split
from programs.retrieval import HttpRetriever, read_corpus
from programs.tasks import hotpotqa, hotpotqa_retrieval
from programs.tasks.hotpotqa_rows import SAMPLE, Question, sample_questions
from tests.compiler.scripted import Bound, request

KNOWN = {question.text: question for split in SPLITS for question in sample_questions(split)}
FEW: Mapping[Split, int] = {"train": 15, "dev": 5, "test": 15}


class Librarian:
    """Knows every answer of the sample, and gives it only where it was shown how."""

    def __init__(self, too_long: str = "nothing") -> None:
        self._too_long = too_long

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        asked = [message["content"] for message in orjson.loads(orjson.dumps(list(messages)))]
        if self._too_long in asked[-1]:
            raise ContextWindowExceeded("8192 tokens at most")
        outputs = re.findall(r"\d\. `(\w+)`", asked[0].partition("Your output fields are:")[2])
        question = KNOWN[re.findall(r"\[\[ ## question ## \]\]\n(.*)", asked[-1])[-1]]
        text = "\n".join(f"[[ ## {name} ## ]]\n{self._said(name, question, asked)}" for name in outputs)
        return Reply(text, "", "stop", Usage(100, 10), "librarian")

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason="stop", usage=reply.usage)

    def _said(self, name: str, question: Question, asked: Sequence[str]) -> str:
        if len(asked) == 2:
            return "I don't know"
        return {"titles": " | ".join(question.titles), "query": question.titles[1]}.get(name, question.answer)


def given() -> Program:
    def examples(split: Split) -> list[dspy.Example]:
        return [hotpotqa.as_example(question) for question in sample_questions(split)[: FEW[split]]]

    return replace(hotpotqa.program, examples=examples)


def searching(folder: Path) -> Program:
    def examples(split: Split) -> list[dspy.Example]:
        return [hotpotqa_retrieval.as_example(question) for question in sample_questions(split)[: FEW[split]]]

    def make_module() -> dspy.Module:
        return hotpotqa_retrieval.two_hops(BM25(read_corpus(SAMPLE / "corpus.jsonl"), folder))

    return replace(hotpotqa_retrieval.program, examples=examples, make_module=make_module)


async def built(wanted: BuildRequest, model: Any) -> BuildResult:
    events = [event async for event in build(wanted, Cast(Bound(model)))]
    assert isinstance(events[-1], Finished)
    return events[-1].result


async def test_given_paragraphs_make_a_plan_and_every_part_of_the_score_is_told(tmp_path: Path) -> None:
    wanted = request(tmp_path, given(), optimizer="LabeledFewShot", arguments={"k": 2})
    result = await built(wanted, Librarian())
    assert result.lowered and (result.baseline.mean, result.compiled.mean) == (0.0, 1.0)
    assert result.compiled.parts == {
        "exact_match(answer, normalised)": 1.0,
        "token_f1(answer)": 1.0,
        "title_recall(titles)": 1.0,
    }


async def test_two_searches_are_released_interpreted_with_demonstrations_of_both_steps(
    tmp_path: Path,
) -> None:
    wanted = request(tmp_path, searching(tmp_path / "index"), optimizer="LabeledFewShot", arguments={"k": 2})
    result = await built(wanted, Librarian())
    assert not result.lowered and "TwoHops" in str(result.reason)
    assert result.compiled.parts["exact_match(answer, normalised)"] == 1.0
    assert 0.8 < result.compiled.parts["title_recall(titles)"] <= 1.0
    (state,) = (tmp_path / "releases" / "hotpotqa_retrieval").glob("*/state.json")
    demos = {name: part["demos"] for name, part in json.loads(state.read_text()).items()}
    assert [set(demo) for demo in demos["second_query"]] == [{"found", "question", "query"}] * 2
    assert [set(demo) for demo in demos["answer"]] == [{"context", "question", "answer"}] * 2


@pytest.mark.parametrize("searches", [False, True], ids=["given", "searching"])
async def test_a_question_over_the_window_scores_nothing_and_ends_no_build(
    tmp_path: Path, searches: bool
) -> None:
    wanted = request(tmp_path, searching(tmp_path / "index") if searches else given(), optimizer="none")
    long = sample_questions("test")[0].text
    result = await built(wanted, Librarian(too_long=long))
    assert (result.compiled.n, result.compiled.too_long, result.compiled.errors) == (15, 1, 0)
    assert result.analysis is not None
    assert {group.kind: group.count for group in result.analysis.groups}["prompt too long"] == 1


async def test_a_search_that_fails_ends_a_build_with_its_own_sentence(tmp_path: Path) -> None:
    def make_module() -> dspy.Module:
        return hotpotqa_retrieval.two_hops(HttpRetriever("http://127.0.0.1:9/search", ()))

    wanted = request(tmp_path, replace(searching(tmp_path), make_module=make_module), optimizer="none")
    with pytest.raises(ModelUnusable) as caught:
        await built(wanted, Librarian())
    assert str(caught.value).endswith(
        ": the retriever at http://127.0.0.1:9/search can't be reached (ClientConnectorError)"
    )
