"""A program of several steps, some of them in threads, is one trace with a span for each call."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai import OpenAI

from tests.gateway import stepping
from tests.gateway.serving import fingerprint_of, running_gateway, settings_for
from tests.gateway.telemetry.collector import collecting
from tests.gateway.telling import installed, put_interpreted, telling
from tests.gateway.test_stepping import ask, tell


@pytest.mark.parametrize(("program", "least"), [("agent", 3), ("plain_forward", 2)])
def test_each_step_is_a_call_of_its_program(program: str, least: int, tmp_path: Path) -> None:
    with (
        telling(tell) as teller,
        collecting() as collector,
        installed(tmp_path, Path(stepping.__file__), program),
    ):
        put_interpreted(tmp_path / "releases", fingerprint_of(teller.url), program)
        table = f'[gateway.telemetry]\nendpoint = "{collector.url}"'
        with (
            running_gateway(settings_for(tmp_path, teller.url, gateway=table)) as gateway,
            OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
        ):
            client.chat.completions.create(model=program, messages=ask("Q1"))
        (whole,) = collector.waited_for(f"invoke_workflow {program}")
        calls = [span for span in collector.spans if span.name == "chat tiny"]
    assert len(calls) >= least
    assert {(call.trace, call.parent) for call in calls} == {(whole.trace, whole.id)}
    assert sum(call.seconds for call in calls) <= whole.seconds
