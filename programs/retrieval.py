"""Where a program searches for passages: an index of its own, or a server that has one.

A retriever is anything with `async def search(query, k)`. Which one a program opens is a text, `NAME:PLACE`,
as in `bm25:corpus.jsonl` or `http:https://search.example/passages`. Knows nothing of what passages are for.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

import aiohttp
from pydantic import BaseModel, ValidationError

from programs.data import read_rows
from programs.errors import DataInvalid, ProgramInvalid, RetrievalFailed

RETRIEVER_VARIABLE = "SMALLFORGE_RETRIEVER"
_SECONDS = 30.0
_PAUSES = (0.5, 2.0)  # seconds before each further try
_MOST_BYTES = 8 * 2**20  # of an answer
_SHOWN = 200


class Passage(NamedTuple):
    title: str
    text: str


class Retriever(Protocol):
    async def search(self, query: str, k: int) -> Sequence[Passage]:
        """At most `k` passages, the best first.

        Raises:
            RetrievalFailed: it can't search now; says where it looked and why not.
        """
        ...


def retriever_setting() -> str | None:
    """What SMALLFORGE_RETRIEVER says, None where it is not set."""
    return os.environ.get(RETRIEVER_VARIABLE) or None


def open_retriever(setting: str) -> Retriever:
    """The retriever that a text such as `bm25:corpus.jsonl` names.

    Raises:
        ProgramInvalid: it names no known kind, or its library is not installed.
        DataInvalid: its corpus is missing or has bad lines; carries all of them.
    """
    name, _, place = setting.partition(":")
    if name not in RETRIEVERS or not place:
        raise ProgramInvalid(
            f"{RETRIEVER_VARIABLE} is {setting!r}: it must be one of {', '.join(RETRIEVERS)}, a colon and a "
            "place, as in bm25:corpus.jsonl or http:http://127.0.0.1:9000/search"
        )
    return RETRIEVERS[name](place)


def read_corpus(path: Path) -> list[Passage]:
    """The passages of a JSONL file with a `title` and a `text` in each line; what stands twice counts once.

    Raises:
        DataInvalid: it can't be read, or has lines that hold no passage; carries all of them.
    """
    if not path.is_file():
        raise DataInvalid(
            [
                f"there is no corpus {str(path)!r}: set {RETRIEVER_VARIABLE}=bm25:FILE to a JSONL file "
                "with a 'title' and a 'text' in each line"
            ]
        )
    passages, mistakes = [], []
    for row in read_rows(path):
        values = [row.values.get(name) for name in Passage._fields]
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) < len(values):
            named = zip(Passage._fields, values, strict=True)
            wrong = [f"field {name!r} must be a text" for name, value in named if not isinstance(value, str)]
        else:
            passages.append(Passage(*texts))
            wrong = [] if texts[0].strip() else ["field 'title' is empty"]
        mistakes += [f"{path.name} {row.place}: {problem}" for problem in wrong]
    if mistakes:
        raise DataInvalid(mistakes)
    return list(dict.fromkeys(passages))


class HttpRetriever:
    """A server that is sent `{"query", "k"}` and answers `{"passages": [{"title", "text"}, ...]}`."""

    def __init__(self, url: str, pauses: Sequence[float] = _PAUSES, seconds: float = _SECONDS) -> None:
        # A password in the address is nobody's to read.
        parts = _parts(url)
        if parts is None:
            shown = re.sub("//.*@", "//", url)
            raise ProgramInvalid(
                f"the retriever's address {shown!r} is no URL: give one such as http://127.0.0.1:9000/search"
            )
        self._url = url
        self._seconds = seconds
        self._shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._pauses = pauses

    async def search(self, query: str, k: int) -> Sequence[Passage]:
        for pause in self._pauses:
            try:
                return await self._attempt(query, k)
            except _Busy:
                await asyncio.sleep(pause)
        return await self._attempt(query, k)

    async def _attempt(self, query: str, k: int) -> Sequence[Passage]:
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, json={"query": query, "k": k}) as response,
            ):
                body = await _read(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = "it took too long" if isinstance(error, TimeoutError) else type(error).__name__
            raise _Busy(f"the retriever at {self._shown} can't be reached ({why})") from error
        if status != 200:
            told = f"the retriever at {self._shown} answered {status}: {body[:_SHOWN]!r}"
            raise _Busy(told) if status == 429 or status >= 500 else RetrievalFailed(told)
        if len(body) > _MOST_BYTES:
            raise RetrievalFailed(f"the retriever at {self._shown} answered with over {_MOST_BYTES:,} bytes")
        try:
            found = _Found.model_validate_json(body).passages
        except ValidationError as error:
            raise RetrievalFailed(
                f"the retriever at {self._shown} must answer {{'passages': [{{'title', 'text'}}]}}, not "
                f"{body[:_SHOWN]!r}"
            ) from error
        return [Passage(passage.title, passage.text) for passage in found[:k]]


def _parts(url: str) -> SplitResult | None:
    """What an address of the web is made of; None where the text is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only now, and refused where it is none
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or a little more of it than is allowed."""
    body = b""
    async for piece in response.content.iter_chunked(2**16):
        body += piece
        if len(body) > _MOST_BYTES:
            break
    return body


class _FoundPassage(BaseModel):
    title: str
    text: str


class _Found(BaseModel):
    passages: list[_FoundPassage]


class _Busy(RetrievalFailed):
    """It may answer when asked again."""


def _bm25(place: str) -> Retriever:
    from programs.bm25 import BM25, index_folder

    return BM25(read_corpus(Path(place).expanduser()), index_folder())


def _http(place: str) -> Retriever:
    return HttpRetriever(place)


RETRIEVERS: dict[str, Callable[[str], Retriever]] = {"bm25": _bm25, "http": _http}
"""Name -> what opens the retriever at a place."""
