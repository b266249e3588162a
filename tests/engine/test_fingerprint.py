"""Telling one model from another by what any server shows."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from engine.client import EngineClient
from engine.errors import EngineReplyInvalid
from engine.fingerprint import CONVERSATIONS, Fingerprint, compare, fingerprint_of_name, take_fingerprint
from tests.engine.scripted_server import Handler, completion, replying, serving

COUNTS = (9, 15, 21, 30, 40, 22, 31, 44)
THIS = Fingerprint(COUNTS, "a" * 64, "b" * 64)


def counting(tokenizes: bool) -> Handler:
    """A server that makes one token of each character."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = "".join(message["content"] for message in body["messages"])
        if request.path == "/tokenize":
            return web.json_response({"tokens": [ord(c) for c in text]}, status=200 if tokenizes else 404)
        usage = {"prompt_tokens": len(text), "completion_tokens": 1}
        return web.json_response({**completion("x"), "usage": usage})

    return handle


async def test_a_fingerprint_counts_the_fixed_conversations() -> None:
    async with serving(counting(tokenizes=True)) as server, EngineClient(server.url, "m") as client:
        taken = await take_fingerprint(client, weights="w")
    lengths = tuple(sum(len(message["content"]) for message in chat) for chat in CONVERSATIONS)
    assert (taken.prompt_tokens, taken.weights) == (lengths, "w")
    assert taken.token_ids is not None and len(taken.token_ids) == 64


async def test_a_server_without_tokenize_still_has_a_fingerprint() -> None:
    async with serving(counting(tokenizes=False)) as server, EngineClient(server.url, "m") as client:
        taken = await take_fingerprint(client)
    assert taken.token_ids is None and len(taken.prompt_tokens) == 8


async def test_a_server_that_does_not_count_is_no_student() -> None:
    body = {key: value for key, value in completion().items() if key != "usage"}
    async with serving(replying(body)) as server, EngineClient(server.url, "m") as client:
        with pytest.raises(EngineReplyInvalid, match=r"usage\.prompt_tokens"):
            await take_fingerprint(client)


def test_it_survives_json() -> None:
    assert Fingerprint.from_dict(json.loads(json.dumps(THIS.as_dict()))) == THIS


@pytest.mark.parametrize("data", [{}, {"prompt_tokens": "8"}, {"prompt_tokens": [1], "weights": 2}, {"x": 1}])
def test_anything_else_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        Fingerprint.from_dict(data)


def test_the_same_model_has_no_mismatch_and_what_is_unknown_differs_from_nothing() -> None:
    assert compare(THIS, THIS) == []
    assert compare(THIS, Fingerprint(COUNTS)) == []


def test_another_template_and_other_weights_are_told_with_both_values() -> None:
    other = Fingerprint((10, *COUNTS[1:]), "c" * 64, "d" * 64)
    template, weights = compare(THIS, other)
    assert (template.kind, weights.kind) == ("template", "weights")
    assert str(list(COUNTS)) in template.sentence and str(list(other.prompt_tokens)) in template.sentence
    assert "b" * 64 in weights.sentence and "d" * 64 in weights.sentence


def test_equal_counts_with_other_ids_are_another_template() -> None:
    assert [m.kind for m in compare(THIS, Fingerprint(COUNTS, "c" * 64))] == ["template"]


def test_hosted_models_are_told_apart_by_name() -> None:
    one, other = fingerprint_of_name("openai/a"), fingerprint_of_name("openai/b")
    assert [m.kind for m in compare(one, other)] == ["weights"]
