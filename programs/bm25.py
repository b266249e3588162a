"""BM25 over passages, searched in this process: an index that is built once for a corpus and kept on disk.

What is kept is arrays and JSON, never pickle, and is named by a digest of the corpus: another corpus is
another index. The passages themselves stay in memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from programs.errors import DataInvalid, ProgramInvalid
from programs.release import canonical_json, digest
from programs.retrieval import Passage

_log = logging.getLogger(__name__)
_LONGEST_QUERY = 10_000  # characters; a query is a question, not a document


def index_folder() -> Path:
    """Where indexes are kept: the user's cache directory by the rules of the operating system."""
    return user_cache_path("smallforge", appauthor=False) / "bm25"


class BM25:
    """A retriever over these passages; its index lies in a folder of its own under `folder`.

    Raises:
        ProgramInvalid: bm25s is not installed.
        DataInvalid: no passage has a word.
    """

    def __init__(self, passages: Sequence[Passage], folder: Path) -> None:
        try:
            import bm25s
        except ModuleNotFoundError as error:
            raise ProgramInvalid(
                "searching a corpus needs bm25s, which is not installed: pip install 'smallforge[compiler]'"
            ) from error
        self._bm25s = bm25s
        self._passages = tuple(passages)
        texts = [f"{passage.title} {passage.text}" for passage in self._passages]
        place = folder / f"{digest(canonical_json(texts))[:16]}-{bm25s.__version__}"
        self._index = self._kept(place) or self._built(texts, place)

    def __deepcopy__(self, memo: object) -> BM25:
        """Itself: nothing of it changes, and copies of a module need not copy a corpus."""
        return self

    async def search(self, query: str, k: int) -> Sequence[Passage]:
        return await asyncio.to_thread(self._search, query, k)

    def _search(self, query: str, k: int) -> Sequence[Passage]:
        words = self._words([query[:_LONGEST_QUERY]])
        most = min(k, len(self._passages))
        if not words[0] or most < 1:
            return []
        found = self._index.retrieve(words, k=most, show_progress=False)
        ranked = zip(found.documents[0].tolist(), found.scores[0].tolist(), strict=True)
        return [self._passages[number] for number, score in ranked if score > 0]

    def _words(self, texts: list[str]) -> list[list[str]]:
        words: list[list[str]] = self._bm25s.tokenize(
            texts, stopwords="en", return_ids=False, show_progress=False
        )
        return words

    def _kept(self, place: Path) -> Any:
        """The index as it was kept; None where there is none that can be used."""
        if not place.is_dir():
            return None
        try:
            index = self._bm25s.BM25.load(place, allow_pickle=False, mmap=False, show_progress=False)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, ImportError) as error:
            _log.warning("the index in %s can't be used and is built again: %s", place, error)
            return None
        return index if index.scores["num_docs"] == len(self._passages) else None

    def _built(self, texts: list[str], place: Path) -> Any:
        words = self._words(texts)
        if not any(words):
            raise DataInvalid(["the corpus holds no words, so nothing can be found in it"])
        index = self._bm25s.BM25()
        index.index(words, show_progress=False)
        try:
            _keep(index, place)
        except OSError as error:
            _log.warning("the index of %d passages can't be kept in %s: %s", len(texts), place, error)
        return index


def _keep(index: Any, place: Path) -> None:
    """Whole or not at all; of two that build the same index at the same time the first keeps it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix=".building-"))
    try:
        index.save(fresh, allow_pickle=False, show_progress=False)
        if place.is_dir():
            os.rename(place, fresh / "unusable")
        os.rename(fresh, place)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not place.is_dir():
            raise
    shutil.rmtree(place / "unusable", ignore_errors=True)
