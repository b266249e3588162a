"""The published files' own layout on a real server: two verses, four words."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from compiler.command import main
from compiler.errors import FetchFailed
from compiler.fetch import Source, entries_of, fetch_scripture, git_id, read_sources, words_of
from programs.books import BOOKS, find_book
from programs.scripture import open_tables

TAHOT = """TAHOT Gen-Deu - Translators Amalgamated Hebrew OT
Eng (Heb) Ref & Type\tHebrew\tTransliteration\tTranslation\tdStrongs\tGrammar
# Gen.1.1\tword
Gen.1.1#01=L\tבְּ/רֵאשִׁ֖ית\tbe./re.Shit\tin/ beginning\tH9003/{H7225G}\tHR/Ncfsa\t\t\tH7225G
Gen.1.1#02=L\tאֱלֹהִ֑ים\t'E.lo.Him\tGod\t{H0430G}\tHNcmpa\t\t\tH0430G
Psa.3.0(3.1)#01=L\tמִזְמ֥וֹר\tmiz.Mor\ta psalm\t{H4210}\tHNcmsa\t\t\tH4210
Jol.2.28(3.1)#01=L\tרוּחִי\tru.Chi\tspirit/ my\t{H7307G}/H9030\tHNcbsc\t\t\tH7307G
"""
TAGNT = """Word & Type\tGreek\tEnglish translation\tdStrongs = Grammar\tDictionary form =  Gloss
Mat.1.1#01=NKO\tΒίβλος (Biblos)\t[The] book\tG0976=N-NSF\tβίβλος=book\tNA28+TR
Mat.1.1#02=N\tἄλλο (allo)\tother\tG0243=A-NSN\tἄλλος=other\tNA28
Rom.16.25[14.24]#01=NKO\tΤῷ (tō)\tTo the [One]\tG3588=T-DSM\tὁ=the\tTR
"""
TBESH = """eStrong\tdStrong\tuStrong\tHebrew\tTransliteration\tMorph\tGloss\tMeaning
H0430\tH0430G = a Name of\tH3068G\tאֱלֹהִים\te.lo.him\tH:N-M\tGod\tThis name means
H0430\tH0430H = a Part of\tH3068G\tאֱלֹהִים\te.lo.him\tH:N-M\t(LORD)-Elohe\tCombined
H9003\tH9003 =\tH9003\tב\tb\tPrefix\tin\tin
"""
TBESG = "G0976\tG0976 =\tG0976\tβίβλος\tbiblos\tG:N-F\tbook\ta written book\n"


def published() -> dict[str, dict[str, bytes]]:
    """Every file of both sources under the names that they are fetched by."""
    kjv = {}
    for book in BOOKS:
        verses = [{"verse": "1", "text": f"In  {book.name}."}]
        data = {"book": book.name, "chapters": [{"chapter": "1", "verses": verses}]}
        kjv[f"{book.name.replace(' ', '')}.json"] = json.dumps(data).encode()
    contents = {"TAHOT Gen": TAHOT, "TAGNT Mat": TAGNT, "TBESH": TBESH, "TBESG": TBESG}
    step = {}
    for name in read_sources()["step"].files:
        text = next((text for begin, text in contents.items() if begin in name), "nothing\n")
        step[name] = b"\xef\xbb\xbf" + text.encode()
    return {"kjv": kjv, "step": step}


class Publisher(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, dict[str, Source]]]:
    """A server of those files under the paths of the real ones, and the sources with their ids."""
    sources = {}
    for name, files in published().items():
        source = read_sources()[name]
        for file, data in files.items():
            path = tmp_path / "www" / urlsplit(source.base).path.lstrip("/") / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        sources[name] = replace(source, files={file: git_id(data) for file, data in files.items()})
    handler = functools.partial(Publisher, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sources
        server.shutdown()
        thread.join()


def test_what_is_published_becomes_tables_that_programs_read(
    tmp_path: Path, mirror: tuple[str, dict[str, Source]]
) -> None:
    url, sources = mirror
    said: list[str] = []
    fetch_scripture(tmp_path / "out", sources, said.append, url)
    tables = open_tables(tmp_path / "out")
    first = next(iter(tables))
    assert (len(tables), first.ref, first.text) == (66, "Genesis 1:1", "In Genesis.")
    assert [str(word) for word in tables.words_of(first)] == ['H0430 אֱלֹהִים (e.lo.him) "God"']
    credits = (tmp_path / "out" / "CREDITS.txt").read_text()
    assert "www.STEPBible.org" in credits and "CC BY 4.0" in credits and "public domain" in credits
    assert said[-1].startswith("66 verses and 3 words")
    again = gzip.decompress((tmp_path / "out" / "kjv.tsv.gz").read_bytes())
    assert again.startswith(b"book\tchapter\tverse\tref\ttext\nGen\t1\t1\tGenesis 1:1\tIn Genesis.\n")


def test_a_file_that_was_changed_is_refused_and_nothing_is_written(
    tmp_path: Path, mirror: tuple[str, dict[str, Source]]
) -> None:
    url, sources = mirror
    next((tmp_path / "www").rglob("Ruth.json")).write_text("{}")
    with pytest.raises(
        FetchFailed, match=r"is not the file that was published: its git id is [0-9a-f]{40}, not"
    ):
        fetch_scripture(tmp_path / "out", sources, lambda _: None, url)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_missing_or_a_server_that_is_silent_is_one_sentence(
    tmp_path: Path, mirror: tuple[str, dict[str, Source]]
) -> None:
    url, sources = mirror
    next((tmp_path / "www").rglob("Ruth.json")).unlink()
    with pytest.raises(FetchFailed, match=r"can't fetch '.*Ruth\.json': HTTP Error 404"):
        fetch_scripture(tmp_path, sources, lambda _: None, url)
    with pytest.raises(FetchFailed, match=r"Connection refused.*--mirror"):
        fetch_scripture(tmp_path, sources, lambda _: None, "http://127.0.0.1:9")
    with pytest.raises(FetchFailed, match="begins with https://"):
        fetch_scripture(tmp_path, sources, lambda _: None, "file:///etc")


def test_a_file_in_another_form_is_refused(tmp_path: Path, mirror: tuple[str, dict[str, Source]]) -> None:
    url, sources = mirror
    path = next((tmp_path / "www").rglob("Genesis.json"))
    path.write_bytes(b"[]")
    kjv = replace(sources["kjv"], files={**sources["kjv"].files, "Genesis.json": git_id(b"[]")})
    with pytest.raises(FetchFailed, match=r"Genesis\.json is not in its known form"):
        fetch_scripture(tmp_path / "out", {**sources, "kjv": kjv}, lambda _: None, url)


def test_the_command_checks_against_the_digests_that_it_carries(
    tmp_path: Path, mirror: tuple[str, dict[str, Source]]
) -> None:
    url, _ = mirror
    asked = ["data", "fetch", "scripture", "--out", str(tmp_path / "out"), "--mirror", url]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2 and "is not the file that was published" in done.stderr


def test_words_carry_the_numbers_of_the_king_james_version_and_no_grammar() -> None:
    assert [(word.ref, word.id) for word in words_of(TAHOT + TAGNT)] == [
        ("Genesis 1:1", "H7225"),
        ("Genesis 1:1", "H0430"),
        ("Joel 2:28", "H7307"),
        ("Matthew 1:1", "G0976"),
        ("Romans 14:24", "G3588"),
    ]


def test_every_book_is_known_by_the_name_that_step_gives_it() -> None:
    names = (
        "Gen Exo Lev Num Deu Jos Jdg Rut 1Sa 2Sa 1Ki 2Ki 1Ch 2Ch Ezr Neh Est Job Psa Pro Ecc Sng Isa Jer Lam "
        "Ezk Dan Hos Jol Amo Oba Jon Mic Nam Hab Zep Hag Zec Mal Mat Mrk Luk Jhn Act Rom 1Co 2Co Gal Eph Php "
        "Col 1Th 2Th 1Ti 2Ti Tit Phm Heb Jas 1Pe 2Pe 1Jn 2Jn 3Jn Jud Rev"
    )
    assert [find_book(name) for name in names.split(" ")] == list(BOOKS)
    with pytest.raises(FetchFailed, match="stands in 'Eno', which is no known book"):
        list(words_of(TAHOT.replace("Gen.", "Eno.")))


def test_entries_are_counted_by_sense() -> None:
    found = list(entries_of(TBESH, {"H0430G": 2}, "TBESH"))
    assert [(row[0], row[1], row[5], row[6]) for row in found] == [
        ("H0430", "H0430G", "God", "2"),
        ("H0430", "H0430H", "(LORD)-Elohe", "0"),
    ]


def test_the_sources_name_every_book_and_every_file_by_its_id() -> None:
    sources = read_sources()
    assert len(sources["kjv"].files) == len(BOOKS)
    assert all(len(id) == 40 for source in sources.values() for id in source.files.values())
    assert git_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
