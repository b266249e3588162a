"""Instructor: a program's outputs as the caller's own type, by the two modes of it that call no tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import instructor
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

URL = os.environ["GATEWAY"] + "/v1"
QUESTION: Any = [{"role": "user", "content": "6 x 7?"}]
MODES = (instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON)


class Quiz(BaseModel):
    reasoning: str
    answer: str = Field(min_length=2)


class Shouted(BaseModel):
    answer: str = Field(pattern="^[A-Z]+$")


QUIZ = {"reasoning": "Six times seven.", "answer": "forty-two"}


@pytest.fixture
def openai() -> Iterator[OpenAI]:
    with OpenAI(base_url=URL, api_key="any", max_retries=0, timeout=20) as client:
        yield client


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_reply_is_the_callers_own_type(openai: OpenAI, mode: instructor.Mode) -> None:
    client = instructor.from_openai(openai, mode=mode)
    quiz = client.create(model="quiz", response_model=Quiz, messages=QUESTION)
    assert isinstance(quiz, Quiz) and quiz.model_dump() == QUIZ


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_streamed_reply_ends_as_the_whole(openai: OpenAI, mode: instructor.Mode) -> None:
    client = instructor.from_openai(openai, mode=mode)
    *_, last = client.create_partial(model="quiz", response_model=Quiz, messages=QUESTION)
    assert last.model_dump() == QUIZ


async def test_the_asynchronous_client_gets_the_same() -> None:
    async with AsyncOpenAI(base_url=URL, api_key="any", timeout=20) as openai:
        client = instructor.from_openai(openai, mode=instructor.Mode.JSON_SCHEMA)
        quiz = await client.create(model="quiz", response_model=Quiz, messages=QUESTION)
    assert quiz.model_dump() == QUIZ


def test_an_answer_that_is_not_of_the_type_is_asked_for_again_and_then_raises(openai: OpenAI) -> None:
    client = instructor.from_openai(openai, mode=instructor.Mode.JSON)
    with pytest.raises(Exception, match="pattern") as caught:
        client.create(model="quiz", response_model=Shouted, messages=QUESTION, max_retries=2)
    assert type(caught.value).__name__ == "InstructorRetryException"
