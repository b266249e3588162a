from __future__ import annotations

import asyncio
import copy
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest

from programs.bm25 import BM25
from programs.errors import DataInvalid
from programs.retrieval import Passage

PASSAGES = [
    Passage("Heron", "The heron is a grey bird of the river."),
    Passage("River Ollen", "The river flows into a lake."),
    Passage("سد", "يقع السد على النهر الكبير"),
    Passage("Owl 🦉", "The owl is a bird of the night.\x00\x1b[31m"),
]


def titles(index: BM25, query: str, k: int = 3) -> Sequence[str]:
    return [passage.title for passage in asyncio.run(index.search(query, k))]


def test_the_best_passage_comes_first_and_one_without_the_words_not_at_all(tmp_path: Path) -> None:
    index = BM25(PASSAGES, tmp_path)
    assert titles(index, "Which grey bird lives at the river?") == ["Heron", "River Ollen", "Owl 🦉"]
    assert titles(index, "the NIGHT bird") == ["Owl 🦉", "Heron"]
    assert titles(index, "النهر") == ["سد"]


@pytest.mark.parametrize("query", ["", "   ", "the of a", "🦉", "\x00", "unheard", "x" * 1_000_000])
def test_a_query_without_a_known_word_finds_nothing(tmp_path: Path, query: str) -> None:
    assert titles(BM25(PASSAGES, tmp_path), query) == []


def test_more_passages_than_there_are_can_be_asked_for(tmp_path: Path) -> None:
    index = BM25(PASSAGES[:1], tmp_path)
    assert titles(index, "bird", 99) == ["Heron"] and titles(index, "bird", 0) == []


def test_an_index_is_built_once_for_a_corpus_and_holds_no_pickle(tmp_path: Path) -> None:
    first = BM25(PASSAGES, tmp_path)
    (kept,) = tmp_path.iterdir()
    written = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert titles(BM25(PASSAGES, tmp_path), "bird") == titles(first, "bird")
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == written
    assert {path.suffix for path in written} == {".npy", ".json"}
    for path in kept.glob("*.npy"):
        assert numpy.load(path, allow_pickle=False).dtype.kind in "fi"
    BM25(PASSAGES[:2], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("params.index.json", b"{"), ("vocab.index.json", b"[1]"), ("data.csc.index.npy", b"\x80\x04.")],
)
def test_an_index_that_was_tampered_with_is_built_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    BM25(PASSAGES, tmp_path)
    (kept,) = tmp_path.iterdir()
    (kept / name).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert titles(BM25(PASSAGES, tmp_path), "night") == ["Owl 🦉"]
    assert "can't be used and is built again" in caplog.text
    assert (kept / name).read_bytes() != content and list(tmp_path.iterdir()) == [kept]


def test_where_no_index_can_be_kept_it_is_built_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert titles(BM25(PASSAGES, tmp_path / "file"), "night") == ["Owl 🦉"]
    assert "can't be kept" in caplog.text


def test_a_corpus_without_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="the corpus holds no words"):
        BM25([Passage("🦉", "")], tmp_path)


def test_searches_run_beside_each_other(tmp_path: Path) -> None:
    index = BM25(PASSAGES, tmp_path)

    async def all_at_once() -> list[Sequence[Passage]]:
        return await asyncio.gather(*(index.search("night bird", 2) for _ in range(50)))

    found = asyncio.run(all_at_once())
    assert all(one == found[0] and one[0].title == "Owl 🦉" for one in found)


def test_copies_of_a_module_share_the_index(tmp_path: Path) -> None:
    index = BM25(PASSAGES, tmp_path)
    assert copy.deepcopy({"retriever": index})["retriever"] is index


def test_without_bm25s_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['bm25s'] = None\n"
        "from pathlib import Path\nfrom programs.bm25 import BM25\n"
        "from programs.errors import ProgramInvalid\n"
        f"try:\n    BM25([], Path({str(tmp_path)!r}))\nexcept ProgramInvalid as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "needs bm25s, which is not installed: pip install 'smallforge[compiler]'" in done.stdout
