"""Kept answers as clients see them: the real app and the official client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI

from programs.plan import Field
from programs.program import Sampling
from tests.gateway.cache.asking import Asker, asking
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import REPLY, Script, Upstream

IN_MEMORY = '[gateway.cache]\nstore = "memory"'
LONG = REPLY.replace("forty-two", "The answer is forty-two, because six times seven is that. " * 3)


@pytest.fixture(scope="module")
def kept(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("kept")
    student = fingerprint_of(_upstream.url)
    put_release(folder / "releases", make_plan(), student)
    put_release(folder / "releases", make_plan("sampled", sampling=Sampling(temperature=0.7)), student)
    typed = (Field("reasoning"), Field("steps", "list[str]"), Field("answer", "int"))
    put_release(folder / "releases", make_plan("counting", outputs=typed), student)
    with running_gateway(settings_for(folder, _upstream.url, gateway=IN_MEMORY)) as gateway:
        yield gateway


@pytest.fixture
def client(kept: RunningGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{kept.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def question(request: pytest.FixtureRequest) -> str:
    """One of its own for each test, since all tests share what is kept."""
    return str(request.node.name)


@pytest.fixture
def asker(client: OpenAI, question: str, upstream: Upstream) -> Asker:
    return Asker(client, question)


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_the_same_request_is_answered_without_the_engine(asker: Asker, upstream: Upstream) -> None:
    first = asker.whole()
    assert asker.cache == "miss" and first.usage.prompt_tokens > 0
    again = asker.whole()
    assert asker.cache == "hit" and len(upstream.asked) == 1
    assert again.choices == first.choices and again.model == first.model and again.id != first.id
    assert float(asker.headers["x-smallforge-cost-usd"]) == 0
    assert (again.usage.prompt_tokens, again.usage.completion_tokens) == (0, 0)


def test_a_stream_is_told_from_a_whole_answer_in_the_same_events(asker: Asker, upstream: Upstream) -> None:
    upstream.reset(Script(text=LONG))
    live = Asker(asker.client, asker.ask["messages"][0]["content"] + " live").streamed()
    whole = asker.whole()
    told = asker.streamed()
    assert asker.cache == "hit" and len(upstream.asked) == 2
    assert text_of(told) == text_of(live) == whole.choices[0].message.content
    assert {frozenset(chunk.model_dump()) for chunk in told} == {frozenset(c.model_dump()) for c in live}
    contents = [c.choices[0].delta.content for c in told if c.choices and c.choices[0].delta.content]
    assert 4 <= len(contents) <= 20
    assert told[-1].smallforge["cost_usd"] == 0 and told[-1].usage.total_tokens == 0
    assert told[-2].choices[0].finish_reason == "stop"
    assert told[-2].choices[0].delta.outputs == whole.choices[0].message.outputs


def test_a_whole_answer_is_told_from_a_stream(asker: Asker, upstream: Upstream) -> None:
    told = text_of(asker.streamed())
    assert asker.cache == "miss"
    message = asker.whole().choices[0].message
    assert asker.cache == "hit" and message.content == told and message.reasoning == "Six times seven."
    assert len(upstream.asked) == 1


def test_responses_have_kept_answers_too(asker: Asker, client: OpenAI, question: str) -> None:
    whole = asker.whole()
    create = client.responses.with_raw_response.create
    raw = create(model="quiz", input=question)
    assert raw.headers["x-smallforge-cache"] == "hit"
    assert raw.parse().output_text == whole.choices[0].message.content
    events = list(client.responses.create(model="quiz", input=question, stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == whole.choices[0].message.content


def test_what_only_shapes_a_reply_is_done_anew(asker: Asker, upstream: Upstream) -> None:
    asker.whole()
    assert asker.whole(stop="two").choices[0].message.content == "forty-"
    formatted = asker.whole(response_format={"type": "json_object"})
    assert asker.cache == "hit" and formatted.choices[0].message.content.startswith("{")
    assert len(upstream.asked) == 1


def test_typed_outputs_come_back_as_they_were(client: OpenAI, question: str, upstream: Upstream) -> None:
    upstream.reset(
        Script(text='[[ ## reasoning ## ]]\nr\n\n[[ ## steps ## ]]\n["a"]\n\n[[ ## answer ## ]]\n12\n')
    )
    asker = Asker(client, question, "counting")
    first, again = asker.whole(), asker.whole()
    assert asker.cache == "hit" and again.choices == first.choices
    assert text_of(asker.streamed()) == "12"


@pytest.mark.parametrize(
    "more", [{"temperature": 0.5}, {"n": 2}, {"extra_headers": {"x-smallforge-trace": "1"}}]
)
def test_requests_that_want_something_new_are_always_answered_anew(
    asker: Asker, upstream: Upstream, more: dict[str, Any]
) -> None:
    asker.whole()
    for _ in range(2):
        asker.whole(**more)
        assert asker.cache is None
    assert len(upstream.asked) >= 3


def test_a_seed_makes_a_sampled_request_one_to_be_kept(
    client: OpenAI, question: str, upstream: Upstream
) -> None:
    asker = Asker(client, question, "sampled")
    asker.whole()
    assert asker.cache is None
    for seed, cache in ((1, "miss"), (1, "hit"), (2, "miss")):
        asker.whole(seed=seed)
        assert asker.cache == cache


def test_a_client_may_want_no_kept_answer_or_leave_none(asker: Asker, upstream: Upstream) -> None:
    none: Any = {"extra_headers": {"Cache-Control": "no-store"}}
    anew: Any = {"extra_headers": {"Cache-Control": "No-Cache"}}
    plain: Any = {}
    caches = [asker.whole(**more) and asker.cache for more in (none, plain)]
    assert caches == [None, "miss"]
    upstream.reset(Script(text=REPLY.replace("forty-two", "42")))
    assert asker.whole(**anew).choices[0].message.content == "42" and asker.cache == "miss"
    assert asker.whole().choices[0].message.content == "42" and asker.cache == "hit"


@pytest.mark.parametrize(
    "streamed, script",
    [
        (False, Script(finish_reason="length")),
        (False, Script(text="no fields")),
        (False, Script(status=500)),
        (True, Script(text="[[ ## reasoning ## ]]\nSix", finish_reason="length")),
        (True, Script(text="no fields")),
        (True, Script(trouble="cut_midway")),
        (True, Script(trouble="error_midway")),
    ],
)
def test_nothing_partial_is_kept(asker: Asker, upstream: Upstream, streamed: bool, script: Script) -> None:
    upstream.reset(script)
    with suppress(APIError, httpx.HTTPError):
        asker.streamed() if streamed else asker.whole()
    upstream.reset()
    assert asker.whole().choices[0].message.content == "forty-two" and asker.cache == "miss"


def test_a_stream_that_its_client_left_is_not_kept(asker: Asker, upstream: Upstream) -> None:
    upstream.reset(Script(text=LONG, trouble="stall_midway"))
    stream: Any = asker.client.chat.completions.create(**asker.ask, stream=True)
    next(iter(stream))
    upstream.stalled.wait(10)
    stream.close()
    assert upstream.abandoned.wait(10)
    upstream.reset()
    asker.whole()
    assert asker.cache == "miss"


def test_who_asks_the_same_meanwhile_waits_for_the_one_answer(asker: Asker, upstream: Upstream) -> None:
    upstream.reset(Script(seconds=1.0))
    caches: list[str | None] = []

    def ask() -> None:
        own = Asker(asker.client, asker.ask["messages"][0]["content"])
        own.whole()
        caches.append(own.cache)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, caches)) == ["hit"] * 5 + ["miss"] and len(upstream.asked) == 1


def test_who_waits_for_an_answer_that_fails_gets_one_of_its_own(asker: Asker, upstream: Upstream) -> None:
    upstream.reset(Script(seconds=1.0, status=500, then=Script()))
    failed: list[int] = []

    def ask() -> None:
        try:
            Asker(asker.client, asker.ask["messages"][0]["content"]).whole()
        except APIStatusError as error:
            failed.append(error.status_code)

    first = threading.Thread(target=ask)
    first.start()
    wait_until(lambda: len(upstream.asked) == 1)
    others = [threading.Thread(target=ask) for _ in range(3)]
    for thread in others:
        thread.start()
    for thread in (first, *others):
        thread.join()
    assert failed == [502]


def test_hits_and_what_they_saved_are_counted(asker: Asker, kept: RunningGateway) -> None:
    card: Any = asker.client.models.retrieve("quiz")
    labels = {"model": "quiz", "release": card.smallforge["version"]}

    def values() -> list[float]:
        names = ("gateway_cache_hits_total", "gateway_cache_misses_total", "gateway_cache_saved_usd_total")
        return [kept.metric(name, **labels) for name in (*names, "gateway_cost_usd_total")]

    before = values()
    asker.whole()
    cost = float(asker.headers["x-smallforge-cost-usd"])
    asker.whole()
    wait_until(lambda: values()[3] > before[3])
    gained = [now - then for now, then in zip(values(), before, strict=True)]
    assert gained == pytest.approx([1, 1, cost, cost], abs=1e-9)


def test_another_release_has_answers_of_its_own(
    asker: Asker, kept: RunningGateway, upstream: Upstream
) -> None:
    asker.whole()
    later = make_plan(prompt="Answer it otherwise.")
    version = put_release(kept.releases, later, fingerprint_of(upstream.url), "candidate")
    wait_until(lambda: "quiz@candidate" in {card.id for card in asker.client.models.list()})
    other = Asker(asker.client, asker.ask["messages"][0]["content"], f"quiz@{version}")
    other.whole()
    assert other.cache == "miss"
    asker.ask["model"] = "quiz@candidate"
    asker.whole()
    assert asker.cache == "hit"


def test_answers_in_sqlite_outlive_the_gateway(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    table = f'[gateway.cache]\nstore = "sqlite"\nfile = "{tmp_path / "cache.db"}"'
    for expected in ("miss", "hit"):
        with (
            running_gateway(settings_for(tmp_path, upstream.url, gateway=table)) as gateway,
            asking(gateway.url, "q") as asker,
        ):
            asker.whole()
            assert asker.cache == expected


def test_a_gateway_whose_redis_is_gone_answers_without_it(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    table = 'redis = "redis://127.0.0.1:1"\n[gateway.cache]\nstore = "redis"'
    with (
        running_gateway(settings_for(tmp_path, upstream.url, gateway=table)) as gateway,
        asking(gateway.url, "q") as asker,
    ):
        for _ in range(2):
            assert asker.whole().choices[0].message.content == "forty-two" and asker.cache == "miss"


def test_nothing_configured_says_nothing_of_a_cache(gateway: RunningGateway, upstream: Upstream) -> None:
    with asking(gateway.url, "q") as asker:
        asker.whole()
    assert asker.cache is None and "gateway_cache" not in gateway.metrics.text()
