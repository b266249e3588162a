from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from programs.errors import DataInvalid
from programs.references import read_references
from programs.scripture import MOST_ABSENT, MOST_VERSES, SAMPLE, Tables, open_tables, read_ids

TABLES = open_tables(SAMPLE)


def test_the_sample_has_verses_and_every_id_of_a_verse_has_its_word() -> None:
    assert len(TABLES) >= 150
    assert all(verse.ids and len(TABLES.words_of(verse)) == len(verse.ids) for verse in TABLES)


def test_a_context_shows_verses_with_their_words_and_says_what_is_missing() -> None:
    context = TABLES.context(read_references("Gen 1:3; Nahum 9:1"))
    assert context == (
        "Genesis 1:3 God spoke, and there was light.\n"
        'Strong\'s: H0430 אֱלֹהִים (elohim) "God"; H0216 אוֹר (or) "light"\n\n'
        "Nahum 9:1 is not in the small bundled sample: name full tables with --tables DIR or SMALLFORGE_DATA."
    )
    assert Tables({}, {}, "elsewhere").context(read_references("Nahum 9:1")) == (
        "Nahum 9:1 is not in these tables."
    )


def test_of_many_verses_that_are_missing_a_few_are_named() -> None:
    context = TABLES.context(read_references("Gen 1:3; " + "; ".join(f"Nahum 9:{n}" for n in range(1, 90))))
    assert context.count("is not in") == MOST_ABSENT
    assert context.endswith(f"\n\n({89 - MOST_ABSENT} more are absent.)")


def test_a_range_and_a_chapter_are_the_verses_that_are_there() -> None:
    (genesis,) = read_references("Genesis 1")
    (over,) = read_references("Gen 1:31-2:7")
    assert [verse.ref for verse in TABLES.verses(over)] == ["Genesis 1:31", "Genesis 2:3", "Genesis 2:7"]
    assert len(TABLES.verses(genesis)) == 8


def test_a_context_has_an_end_and_says_so() -> None:
    every = read_references(
        "; ".join(f"Psalms {n}" for n in range(1, 90)) + "; Gen 1; Matt 5; Matt 6; John 1-15"
    )
    context = TABLES.context(every)
    assert "more verses are left out" in context
    assert context.count("Strong's:") <= MOST_VERSES and len(context) < 20_000


def test_ids_are_read_in_both_spellings() -> None:
    assert read_ids("H430, g26, H0430 and (H1254A); not XH1 or H12345") == ["H0430", "G0026", "H1254"]


def test_gzipped_tables_are_read_as_plain_ones_are(tmp_path: Path) -> None:
    for name in ("strongs", "verse_strongs_all"):
        (tmp_path / f"{name}.tsv.gz").write_bytes(gzip.compress((SAMPLE / f"{name}.tsv").read_bytes()))
    (tmp_path / "kjv.tsv.gz").write_bytes(gzip.compress((SAMPLE / "verses.tsv").read_bytes()))
    assert list(open_tables(tmp_path)) == list(TABLES)


def test_a_missing_table_is_one_sentence_that_names_both_ways_to_it(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid) as caught:
        open_tables(tmp_path)
    said = str(caught.value)
    assert f"--tables is {str(tmp_path)!r}" in said and "compiler data fetch scripture" in said
    assert "SMALLFORGE_DATA" in said and "\n" not in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("kjv.tsv", b"book\tverse\n", "has no column 'ref'"),
        ("kjv.tsv", b"ref\ttext\nGenesis 1:1\n", "line 2 has 1 cells, not 2"),
        ("kjv.tsv", b"ref\ttext\nnowhere\tx\n", "whose ref is 'nowhere'"),
        ("kjv.tsv", b"\xff\xfe", "can't read the table"),
        ("kjv.tsv", b"", "can't read the table"),
        ("kjv.tsv.gz", b"no gzip", "can't read the table"),
        ("kjv.tsv.gz", gzip.compress(b"ref\ttext\n", mtime=0)[:-9], "can't read the table"),
    ],
)
def test_a_table_that_is_no_table_says_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    for kept in ("strongs.tsv", "verse_strongs_all.tsv"):
        (tmp_path / kept).write_bytes((SAMPLE / kept).read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataInvalid, match=said):
        open_tables(tmp_path)


def test_the_folder_of_the_environment_is_used_where_none_is_given(tmp_path: Path) -> None:
    script = "from programs.scripture import open_tables; print(open_tables().source)"
    (tmp_path / "scripture").symlink_to(SAMPLE)
    for data, expected in ((str(tmp_path), tmp_path / "scripture"), ("", SAMPLE)):
        environment = {**os.environ, "SMALLFORGE_DATA": data}
        command = [sys.executable, "-c", script]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert shown.strip() == str(expected)
