"""The limits of a key, as `gateway keys create` sets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.limits.stampede import BODY
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Upstream


@contextmanager
def asking(folder: Path, upstream: Upstream, key: str = "", limits: str = "") -> Iterator[Asked]:
    """A gateway that asks for keys, and two of them: one with these flags and one without any limit."""
    student = fingerprint_of(upstream.url)
    for name in ("quiz", "riddle"):
        put_release(folder / "releases", make_plan(name), student)
    settings = settings_for(folder, upstream.url, gateway=f"{where_keys_are(folder)}\n{limits}")
    limited, free = issued(folder, "limited", *key.split()), issued(folder, "free")
    with running_gateway(settings) as gateway:
        yield Asked(gateway.url, limited, free)


class Asked:
    def __init__(self, url: str, limited: str, free: str) -> None:
        self._url = url
        self.limited = limited
        self.free = free

    def __call__(self, key: str, model: str = "quiz") -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self._url}/v1/chat/completions", json={**BODY, "model": model}, headers=headers)

    def say(self, key: str, response: str) -> httpx.Response:
        """Feedback on a response."""
        headers = {"authorization": f"Bearer {key}"}
        said = {"response_id": response, "score": 1}
        return httpx.post(f"{self._url}/v1/feedback", json=said, headers=headers)


def test_a_key_has_its_limit_over_all_models_and_others_do_not(tmp_path: Path, upstream: Upstream) -> None:
    with asking(tmp_path, upstream, key="--rpm 2") as ask:
        assert ask(ask.limited, "quiz").headers["x-ratelimit-remaining-requests"] == "1"
        assert ask(ask.limited, "riddle").status_code == 200
        refused = ask(ask.limited, "quiz")
        free = [ask(ask.free) for _ in range(3)]
    assert refused.status_code == 429
    assert "Rate limit reached for this key on requests per min (RPM)" in refused.json()["error"]["message"]
    assert [answer.status_code for answer in free] == [200, 200, 200]
    assert not [name for name in free[0].headers if name.startswith("x-ratelimit")]


def test_a_model_has_its_limit_over_all_keys(tmp_path: Path, upstream: Upstream) -> None:
    with asking(tmp_path, upstream, limits="[limits.quiz]\nrpm = 2") as ask:
        answers = [ask(ask.limited), ask(ask.free), ask(ask.free), ask(ask.free, "riddle")]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]


def test_the_shorter_of_two_limits_is_told(tmp_path: Path, upstream: Upstream) -> None:
    with asking(tmp_path, upstream, key="--rpm 9 --tpm 1000", limits="[limits.quiz]\nrpm = 5") as ask:
        told = ask(ask.limited).headers
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("5", "4")
    assert told["x-ratelimit-limit-tokens"] == "1000"


def test_feedback_comes_as_often_as_its_key_may_ask_and_beside_that(
    tmp_path: Path, upstream: Upstream
) -> None:
    with asking(tmp_path, upstream, key="--rpm 2 --traffic") as ask:
        response = ask(ask.limited).json()["id"]
        given = [ask.say(ask.limited, response).status_code for _ in range(3)]
        others = [ask.say(ask.free, response).status_code for _ in range(3)]
        assert ask(ask.limited).status_code == 200
    assert given == [200, 200, 429] and others == [404, 404, 404]
