"""Who gets in: the holder of the key, or this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compiler.service.door import new_key
from tests.compiler.service.served import Told, furnish, serving

KEY, DIGEST = new_key()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(tmp_path, furnish(tmp_path, admin_key_sha256=DIGEST), Told()) as client:
        yield client


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_without_the_key_nothing_is_told(locked: httpx.Client) -> None:
    for wrong in ({}, {"authorization": "Bearer sfa-wrong"}, {"authorization": KEY}):
        answer = locked.get("/api/jobs", headers=wrong)
        assert (answer.status_code, code(answer)) == (401, "unauthorised")


def test_the_key_opens_the_api(locked: httpx.Client) -> None:
    assert locked.get("/api/jobs", headers={"authorization": f"Bearer {KEY}"}).json() == {"jobs": []}


def test_a_page_leads_to_the_sign_in_and_back(locked: httpx.Client) -> None:
    away = locked.get("/train")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/train")
    assert locked.post("/login", data={"key": "sfa-wrong", "next": "/train"}).status_code == 401
    entered = locked.post("/login", data={"key": KEY, "next": "/train"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/train")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and KEY not in cookie
    assert "Sign out" in locked.get("/train").text


def test_a_sign_in_leads_to_no_other_site(locked: httpx.Client) -> None:
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        assert locked.post("/login", data={"key": KEY, "next": elsewhere}).headers["location"] == "/"


def test_signing_out_ends_the_session(locked: httpx.Client) -> None:
    locked.post("/login", data={"key": KEY})
    locked.post("/logout")
    assert locked.get("/api/jobs").status_code == 401


def test_a_page_of_another_site_can_do_nothing(client: httpx.Client) -> None:
    for sent in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = client.post("/api/jobs", json={"program": "gsm8k"}, headers=sent)
        assert (answer.status_code, code(answer)) == (403, "forbidden")


def test_a_name_that_was_made_to_mean_this_machine_gets_nothing(client: httpx.Client) -> None:
    answer = client.get("/api/jobs", headers={"host": "evil.example:8090"})
    assert (answer.status_code, code(answer)) == (403, "forbidden")


def test_pages_load_nothing_from_elsewhere_and_stand_in_no_frame_of_others(client: httpx.Client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy
    assert "unsafe-inline' " not in policy.partition("style-src")[0]
