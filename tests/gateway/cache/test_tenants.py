"""Whose kept answers a caller may get: its own, or all where the operator says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Upstream

ASK: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


@pytest.mark.parametrize("shared, second", [("false", "miss"), ("true", "hit")])
def test_a_key_gets_anothers_answers_only_where_they_are_shared(
    upstream: Upstream, tmp_path: Path, shared: str, second: str
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    table = f'{where_keys_are(tmp_path)}\n[gateway.cache]\nstore = "memory"\nshared = {shared}'
    settings = settings_for(tmp_path, upstream.url, gateway=table)
    secrets = [issued(tmp_path, name) for name in ("first", "second")]
    with running_gateway(settings) as gateway:
        caches = [cache_of(gateway.url, secrets[number]) for number in (0, 0, 1)]
    assert caches == ["miss", "hit", second]


def cache_of(url: str, secret: str) -> str:
    with OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as client:
        return str(client.chat.completions.with_raw_response.create(**ASK).headers["x-smallforge-cache"])
