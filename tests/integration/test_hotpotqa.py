"""Two searches on a real engine: built, served, asked as the page shows, and served without a corpus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from programs.program import SPLITS
from programs.tasks.hotpotqa_retrieval import as_example
from programs.tasks.hotpotqa_rows import SAMPLE, sample_questions
from tests.integration.conftest import House, furnish, running

PAGE = (Path(__file__).parents[2] / "docs" / "hotpotqa.md").read_text()
CORPUS = f"bm25:{SAMPLE / 'corpus.jsonl'}"
ROWS = {"train": 20, "dev": 10, "test": 12}


@pytest.fixture(scope="module")
def searching(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with a release of `hotpotqa_retrieval`."""
    house = furnish(tmp_path_factory.mktemp("searching"), engine_url)
    for split in SPLITS:
        rows = [dict(as_example(question).items()) for question in sample_questions(split)[: ROWS[split]]]
        (house.folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = ("--data", "train.jsonl", "--dev", "dev.jsonl", "--test", "test.jsonl")
    how = ("--optimizer", "LabeledFewShot", "--set", "k=1")
    shown = house.run("compiler", "build", "hotpotqa_retrieval", *data, *how)
    assert "Not lowered, served by DSPy" in shown and "12 held-out examples" in shown
    return house


@contextmanager
def gateway(house: House, retriever: str, ready: str) -> Iterator[OpenAI]:
    surroundings = {"SMALLFORGE_RETRIEVER": retriever, "XDG_CACHE_HOME": str(house.folder / "cache")}
    with (
        running(["gateway", "serve"], house.folder, f"{house.gateway}{ready}", 60, surroundings),
        OpenAI(base_url=f"{house.gateway}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def ask(client: OpenAI, question: str) -> Any:
    """The message, or the code of the error."""
    try:
        reply = client.chat.completions.create(
            model="hotpotqa_retrieval", messages=[{"role": "user", "content": question}]
        )
    except APIStatusError as error:
        return error.code
    return reply.choices[0].message


def test_questions_are_searched_for_and_answered_as_the_page_shows(searching: House) -> None:
    with gateway(searching, CORPUS, "/readyz") as client:
        said = [ask(client, question.text) for question in sample_questions("dev")[:8]]
        answered = [message for message in said if not isinstance(message, str)]
        # The bundled student was never trained to write queries: some of its replies can't be read.
        assert answered and {code for code in said if isinstance(code, str)} <= {"program_output_invalid"}
        titles = {json.loads(line)["title"] for line in (SAMPLE / "corpus.jsonl").read_text().splitlines()}
        for message in answered:
            found = message.outputs["titles"]
            assert 3 <= len(found) <= 6 and set(found) <= titles and message.content
        (snippet,) = re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        shown = snippet.replace("http://127.0.0.1:8080", searching.gateway)
        done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True)
        assert "Kestrel Viaduct" in done.stdout or "program_output_invalid" in done.stderr, done.stderr


def test_a_gateway_without_the_corpus_says_so_in_one_sentence(searching: House) -> None:
    with gateway(searching, "bm25:absent.jsonl", "/v1/models") as client:
        assert ask(client, "Who?") == "model_unavailable"
        with urllib.request.urlopen(f"{searching.gateway}/v1/models/hotpotqa_retrieval") as reply:
            about = json.load(reply)["smallforge"]
    assert "there is no corpus 'absent.jsonl': set SMALLFORGE_RETRIEVER=bm25:FILE" in about["reason"]


def test_a_gateway_whose_search_server_is_gone_answers_502(searching: House) -> None:
    with gateway(searching, "http:http://127.0.0.1:9/search", "/readyz") as client:
        assert ask(client, "Who?") == "retrieval_failed"
