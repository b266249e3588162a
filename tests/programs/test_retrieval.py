from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, Response

from programs.errors import DataInvalid, ProgramInvalid, RetrievalFailed
from programs.retrieval import HttpRetriever, Passage, open_retriever, read_corpus
from tests.programs.search_server import PassageServer, passage_server


@pytest.fixture(scope="module")
def _server() -> Iterator[PassageServer]:
    with passage_server() as served:
        yield served


@pytest.fixture
def server(_server: PassageServer) -> PassageServer:
    _server.asked.clear()
    _server.troubles.clear()
    _server.pause = 0.0
    return _server


def search(url: str, query: str = "bird", k: int = 2, pauses: Sequence[float] = ()) -> Sequence[Passage]:
    return asyncio.run(HttpRetriever(url, pauses).search(query, k))


def test_a_server_is_asked_by_query_and_number(server: PassageServer) -> None:
    found = search(server.url, 'שלום 🦉 "quoted"\x00')
    assert found == [("Heron", "The heron is a bird."), ("Gate", "The gate is iron.")]
    assert server.asked == [{"query": 'שלום 🦉 "quoted"\x00', "k": 2}]


def test_a_server_that_gives_too_many_passages_is_cut(server: PassageServer) -> None:
    assert [passage.title for passage in search(server.url, k=1)] == ["Heron"]


def test_a_busy_server_is_asked_again(server: PassageServer) -> None:
    server.troubles = [PlainTextResponse("wait", 503), PlainTextResponse("wait", 429)]
    assert len(search(server.url, pauses=(0, 0))) == 2 and len(server.asked) == 3


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (PlainTextResponse("wait", 503), "answered 503: b'wait'"),
        (PlainTextResponse("who are you?", 401), "answered 401: b'who are you"),
        (PlainTextResponse("<html>"), r"must answer \{'passages': \[.*not b'<html>'"),
        (PlainTextResponse('{"passages": [{"title": 1}]}'), "must answer"),
        (PlainTextResponse(b"x" * 9_000_000), "over 8,388,608 bytes"),
    ],
    ids=["busy", "refused", "no JSON", "no passages", "endless"],
)
def test_trouble_with_the_server_is_one_sentence(server: PassageServer, trouble: Response, said: str) -> None:
    server.troubles = [trouble]
    with pytest.raises(RetrievalFailed, match=said):
        search(server.url)


def test_a_server_that_is_not_there_is_one_sentence_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(RetrievalFailed) as caught:
        search(f"http://me:secret@127.0.0.1:{port}/search")
    assert str(caught.value) == (
        f"the retriever at http://127.0.0.1:{port}/search can't be reached (ClientConnectorError)"
    )


@pytest.mark.parametrize("setting", ["", "bm25", "bm25:", "faiss:x", "corpus.jsonl"])
def test_a_setting_that_names_no_retriever_is_told_what_is_allowed(setting: str) -> None:
    with pytest.raises(ProgramInvalid, match=r"must be one of bm25, http, a colon and a place"):
        open_retriever(setting)


@pytest.mark.parametrize(
    "place",
    [
        *("search", "ftp://127.0.0.1/x", "http://", "127.0.0.1:9000"),
        *("http://[::1", "http://127.0.0.1:search/", "http://127.0.0.1:99999/search"),
    ],
)
def test_an_address_that_is_no_url_is_refused_before_it_is_asked(place: str) -> None:
    with pytest.raises(ProgramInvalid, match="is no URL: give one such as"):
        open_retriever(f"http:{place}")


def test_a_server_that_does_not_answer_in_time_is_one_sentence(server: PassageServer) -> None:
    server.pause = 0.5
    with pytest.raises(RetrievalFailed, match=r"can't be reached \(it took too long\)"):
        asyncio.run(HttpRetriever(server.url, (0,), seconds=0.1).search("bird", 2))
    assert len(server.asked) == 2


def test_an_address_that_is_refused_is_shown_without_its_password() -> None:
    with pytest.raises(ProgramInvalid, match=r"address 'http://127.0.0.1:search/' is no URL"):
        HttpRetriever("http://me:secret@127.0.0.1:search/")


def test_the_setting_opens_a_server(server: PassageServer) -> None:
    found = asyncio.run(open_retriever(f"http:{server.url}").search("bird", 1))
    assert found == [("Heron", "The heron is a bird.")]


def test_a_missing_corpus_is_one_sentence_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid) as caught:
        open_retriever(f"bm25:{tmp_path / 'absent.jsonl'}")
    assert str(caught.value) == (
        f"there is no corpus {str(tmp_path / 'absent.jsonl')!r}: set SMALLFORGE_RETRIEVER=bm25:FILE to a "
        "JSONL file with a 'title' and a 'text' in each line"
    )


def test_every_bad_line_of_a_corpus_is_told(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = [
        {"title": "A", "text": "a"},
        {"title": 3, "text": "b"},
        {"title": "C"},
        {"title": " ", "text": ""},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataInvalid) as caught:
        read_corpus(path)
    assert caught.value.mistakes == (
        "corpus.jsonl line 2: field 'title' must be a text",
        "corpus.jsonl line 3: field 'text' must be a text",
        "corpus.jsonl line 4: field 'title' is empty",
    )


def test_a_passage_that_stands_twice_in_a_corpus_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = [{"title": "A", "text": "a"}, {"title": "A", "text": "b"}, {"title": "A", "text": "a"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert read_corpus(path) == [Passage("A", "a"), Passage("A", "b")]
