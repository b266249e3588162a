"""No key, pepper or password is ever told: a canary in every place where one goes in."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from tests.gateway.access.issuing import issued, keys, told, where_keys_are
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream

PEPPER = "canary-pepper-0123456789-0123456789"
STRANGE = "sf-0123456789ab-canaryCANARYcanaryCANARYcanaryCANARYcan"[:59]


def test_no_secret_is_in_a_log_an_answer_a_metric_or_the_database(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    mine = f'pepper = "{PEPPER}"\naccess_log = true\nlog_format = "json"\n{where_keys_are(tmp_path)}'
    settings = settings_for(tmp_path, upstream.url, gateway=mine)
    first = issued(tmp_path, "canary")
    second = told(tmp_path, "rotate", "canary")["key"]
    secrets = [first.split("-", 2)[2], second.split("-", 2)[2], STRANGE.split("-", 2)[2], PEPPER]
    body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}
    said = [repr(settings), keys(tmp_path, "list", "--all", "--json").output]
    with caplog.at_level(logging.DEBUG), running_gateway(settings) as gateway:
        for key in (first, second, STRANGE, f"{first}x", f"{second} {first}"):
            for trouble in (Script(), Script(status=500), Script(trouble="garbage")):
                upstream.reset(trouble)
                headers = {"authorization": f"Bearer {key}", "x-smallforge-trace": "1"}
                reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
                said += [reply.text, str(reply.headers)]
                said += [str(upstream.headers), str(upstream.requests)]
        said += [gateway.metrics.text(), caplog.text, str([vars(record) for record in caplog.records])]
    said += [file.read_bytes().decode("latin-1") for file in tmp_path.glob("gateway.db*")]
    told_of = [secret for secret in secrets for text in said if secret in text]
    assert told_of == [] and "canary" in caplog.text + "".join(said)
