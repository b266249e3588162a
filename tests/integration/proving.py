"""A named task from its rows to a served release: built, measured, served, and asked by OpenAI's client."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from openai import APIStatusError, OpenAI

from tests.integration.conftest import NONE, House, running

ASKED = {"gsm8k": "question", "hotpotqa": "question", "hotpotqa_retrieval": "question",
         "scripture_qa": "question", "teaching": "query"}  # fmt: skip
"""Task -> the input that asks."""


@dataclass(frozen=True)
class Built:
    """What a build told: on screen, and in its evidence."""

    shown: str
    evidence: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    """Of the test rows."""

    def score(self, which: str = "after") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.evidence["scores"][which]
        return found


@dataclass
class Served:
    """What became of requests: contents of answers, codes of refusals, seconds of both."""

    answers: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        counted = {code: self.refusals.count(code) for code in sorted(set(self.refusals))}
        median = round(statistics.median(self.seconds), 3)
        return {"answered": len(self.answers), "refused": counted, "seconds_median": median}


def build(house: House, task: str, *options: str, surroundings: Mapping[str, str] = NONE) -> Built:
    """`compiler build TASK` with these options; the newest evidence of the release it wrote."""
    command = ("compiler", "build", task, "--mlflow-uri", "off", *options)
    shown = house.run(*command, surroundings=surroundings)
    written = (house.folder / "releases" / task).rglob("build.json")
    path = max(written, key=lambda found: found.stat().st_mtime)
    lines = (path.parent / "scorecard.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    return Built(shown, json.loads(path.read_bytes()), [row["inputs"] for row in rows if row["inputs"]])


@contextmanager
def serving(house: House, surroundings: Mapping[str, str] = NONE) -> Iterator[OpenAI]:
    """`gateway serve` over the house's releases, and the official client."""
    with (
        running(["gateway", "serve"], house.folder, f"{house.gateway}/readyz", 120, surroundings),
        OpenAI(base_url=f"{house.gateway}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def ask(client: OpenAI, task: str, rows: Sequence[Mapping[str, Any]]) -> Served:
    """Asks a release with the inputs of test rows, as a client of the gateway sends them."""
    served = Served()
    for inputs in rows:
        given = {name: value for name, value in inputs.items() if value is not None}
        begun = time.monotonic()
        try:
            reply = client.chat.completions.create(
                model=task,
                messages=[{"role": "user", "content": str(inputs[ASKED[task]])}],
                extra_body={"inputs": given},
            )
        except APIStatusError as error:
            served.refusals.append(str(error.code))
        else:
            served.answers.append(reply.choices[0].message.content or "")
        served.seconds.append(time.monotonic() - begun)
    return served
