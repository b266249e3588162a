"""Programs with a check on a real engine: built, served, asked again, refused."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from programs.checks import is_one_of
from programs.program import SPLITS
from programs.release import read_release
from programs.tasks import arithmetic
from tests.gateway.serving import put_release
from tests.integration.conftest import House, furnish, running

ROWS = {"train": 20, "dev": 10, "test": 12}
PROGRAM = """
from dataclasses import replace

from programs.tasks.arithmetic import program as arithmetic
from smallforge import is_one_of

program = replace(arithmetic, name="small_sums", checks=(is_one_of("answer", *range(100)),))
"""


@pytest.fixture(scope="module")
def checked(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with `small_sums`, whose check most answers pass, and `never`, whose check none does."""
    house = furnish(tmp_path_factory.mktemp("checks"), engine_url)
    (house.folder / "small_sums.py").write_text(PROGRAM)
    for split in SPLITS:
        rows = [dict(example.items()) for example in arithmetic.examples(split)[: ROWS[split]]]
        (house.folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = ("--data", "train.jsonl", "--dev", "dev.jsonl", "--test", "test.jsonl")
    house.run("compiler", "build", "./small_sums.py", *data, "--optimizer", "none")
    releases = house.folder / "releases"
    built = read_release(releases / "small_sums" / house.alias("small_sums", "champion"))
    assert built.plan is not None and built.plan.checks == (is_one_of("answer", *range(100)),)
    never = replace(built.plan, program="never", checks=(is_one_of("answer", -1),), check_retries=2)
    put_release(releases, never, built.identity.fingerprint)
    with running(["gateway", "serve"], house.folder, f"{house.gateway}/readyz", seconds=60):
        yield house


@pytest.fixture
def client(checked: House) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{checked.gateway}/v1", api_key="unused", max_retries=0) as client:
        yield client


def ask(client: OpenAI, model: str, **asked: Any) -> Any:
    question = "Anna has 12 apples. She buys 8 more. How many apples does Anna have now?"
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], **asked
    )


def test_an_answer_that_passes_is_given_and_streamed_in_one_piece(client: OpenAI) -> None:
    content = ask(client, "small_sums").choices[0].message.content
    assert 0 <= int(content) < 100
    chunks = list(ask(client, "small_sums", stream=True))
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == [content]


def test_an_answer_that_never_passes_is_refused_after_two_retries_and_paid_for(
    client: OpenAI, checked: House
) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(client, "never")
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")
    assert "'answer' must be one of -1" in caught.value.message
    assert float(caught.value.response.headers["x-smallforge-cost-usd"]) > 0
    with urllib.request.urlopen(checked.metrics) as page:
        lines = [line for line in page.read().decode().splitlines() if 'model="never"' in line]
    counted = {line.partition("{")[0]: float(line.split()[-1]) for line in lines}
    assert (counted["gateway_check_failures_total"], counted["gateway_check_retries_total"]) == (1, 2)
