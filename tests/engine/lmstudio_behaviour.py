"""What holds of any LM Studio, the double and a real one; each takes its URL and which model is meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from engine.client import EngineClient
from engine.errors import EngineRequestRefused, EngineWrongModel
from engine.lmstudio import is_lmstudio, list_models
from engine.local import open_student
from engine.settings import Binding, EngineSettings, Settings

Behaviour = Callable[[str, str | None], Awaitable[None]]

ASK = [{"role": "user", "content": "What is 2 + 2?"}]


def settings_for(url: str, model: str | None = None, **more: str) -> Settings:
    """One engine at `url`, nothing said of what kind it is."""
    engine = EngineSettings("desktop", urls=(url,), model=model, **more)  # type: ignore[arg-type]
    return Settings(engines={"desktop": engine}, students={"default": Binding("default", "desktop")})


async def it_is_recognised_by_its_list(url: str, model: str | None) -> None:
    async with EngineClient(url, "") as client:
        assert is_lmstudio(await client.models())
        cards = await list_models(client)
    assert cards and all(card.chats for card in cards)


async def a_url_is_enough_for_a_student_with_its_context(url: str, model: str | None) -> None:
    async with open_student(settings_for(url, model), progress=lambda line: None) as student:
        cards = {card.id: card for card in await list_models(student.client)}  # type: ignore[arg-type]
        assert cards[student.client.model].loaded is True
        assert student.context_tokens == cards[student.client.model].max_model_len is not None
        assert len(student.fingerprint.prompt_tokens) == 8 and student.fingerprint.token_ids is None


async def the_same_model_has_the_same_fingerprint(url: str, model: str | None) -> None:
    async with open_student(settings_for(url, model), progress=lambda line: None) as student:
        first = student.fingerprint
    async with open_student(settings_for(url, model), progress=lambda line: None) as student:
        assert student.fingerprint == first


async def a_stream_brings_the_text_and_ends(url: str, model: str | None) -> None:
    async with open_student(settings_for(url, model), progress=lambda line: None) as student:
        params = {"max_tokens": 16, "temperature": 0}
        deltas = [delta async for delta in student.client.stream(ASK, params)]
    assert "".join(delta.text + delta.reasoning for delta in deltas)
    assert [delta.finish_reason for delta in deltas if delta.finish_reason]


async def what_it_refuses_is_told_in_its_own_words(url: str, model: str | None) -> None:
    async with open_student(settings_for(url, model), progress=lambda line: None) as student:
        with pytest.raises(EngineRequestRefused, match=r"'response_format\.type' must be 'json_schema'"):
            await student.client.complete(ASK, {"response_format": {"type": "json_object"}})


async def a_model_that_is_not_there_is_not_replaced_by_another(url: str, model: str | None) -> None:
    with pytest.raises(EngineWrongModel, match="has no model 'no-such-model'"):
        async with open_student(settings_for(url, "no-such-model"), progress=lambda line: None):
            pass


BEHAVIOURS: tuple[Behaviour, ...] = (
    it_is_recognised_by_its_list,
    a_url_is_enough_for_a_student_with_its_context,
    the_same_model_has_the_same_fingerprint,
    a_stream_brings_the_text_and_ends,
    what_it_refuses_is_told_in_its_own_words,
    a_model_that_is_not_there_is_not_replaced_by_another,
)
