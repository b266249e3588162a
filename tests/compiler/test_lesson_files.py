from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from compiler.errors import UserMistake
from compiler.lesson_files import Prepared, prepare_folder, prepare_rows

ROW = {"query": "Why is ice cold?", "response": "Because it takes heat away."}


def prepared(folder: Path, **files: str | bytes) -> Prepared:
    """Of a folder with these files; `__` in a name stands for its dot."""
    source = folder / "files"
    source.mkdir(exist_ok=True)
    (source / "always.json").write_text(json.dumps(ROW))
    for name, text in files.items():
        path = source / name.replace("__", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare_folder(source, folder / "kept")


def lessons(found: Prepared, split: str = "train") -> list[Mapping[str, Any]]:
    """All but the one that is always there."""
    path = getattr(found.data, split)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path else []
    return [row for row in rows if row != ROW]


def test_every_kind_of_file_gives_the_same_lesson(tmp_path: Path) -> None:
    row = {"query": "Why?", "response": "So.", "grade": "4", "subject": "art", "context": "Paint."}
    texts = {
        "a__jsonl": "\n" + json.dumps({**row, "grade": 4}),
        "b__json": json.dumps({"lessons": [row | {"id": 1}]}),
        "c__csv": "\ufeffQuestion,Answer,Grade,Subject,Context\r\nWhy?,So.,4,art,Paint.\r\n",
        "d__tsv": "query\tresponse\tgrade\tsubject\tcontext\nWhy?\tSo.\t4\tart\tPaint.\n",
        "e__csv": 'query;response;grade;subject;context\n"Why?";So.;4;art;Paint.\n',
        "f__md": "Subject: art\nGrade: 4\n\n**Context:** Paint.\n\n### Q1: Why?\n- **A:** So.\n",
        "g__TXT": "Context: Paint.\nGrade: 4\nSubject: art\nStudent: Why?\n\nTeacher:\nSo.\n",
    }
    for number, (name, text) in enumerate(texts.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = prepared(folder, **{name: text})
        assert (name, lessons(found), found.skipped) == (name, [row], ())


def test_files_named_for_a_part_are_that_part(tmp_path: Path) -> None:
    rows = {name: json.dumps({"query": name, "response": "x"}) for name in ("train", "dev", "Test", "more")}
    found = prepared(tmp_path, **{f"{name}__jsonl": text for name, text in rows.items()})
    assert found.counts == {"train": 3, "dev": 1, "test": 1}
    assert [row["query"] for row in lessons(found, "test")] == ["Test"]
    assert str(found).startswith("5 lessons: 3 train, 1 dev, 1 test")


def test_every_file_that_is_not_used_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "files" / "gone.txt").symlink_to(tmp_path / "nowhere")
    found = prepared(
        tmp_path,
        plan__docx=b"PK\x03\x04",
        old__csv="Frage,Antwort\nà,b".encode("latin-1"),
        empty__txt="",
        __hidden="x",
        blank__json=" ",
        prose__md="Just a text.\nOf two lines.",
    )
    assert found.skipped == (
        ".hidden: is hidden",
        "blank.json: is empty",
        "empty.txt: is empty",
        "gone.txt: is no file",
        "link: is a link to a folder, which is not followed",
        "old.csv: is not UTF-8: save it as UTF-8",
        "plan.docx: can't be read: save it as one of csv, json, jsonl, md, ndjson, tsv, txt",
        r"prose.md line 1: 'Just a text.\nOf two lines.' is part of no question or answer",
    )


def test_every_row_that_is_not_used_is_named_with_its_place(tmp_path: Path) -> None:
    found = prepared(
        tmp_path,
        a__jsonl="\n".join(['{"query": 1, "response": "b"}', "[1]", "{", json.dumps(ROW), '{"query": NaN}']),
        b__csv="query,response\na,b,c\nd\n",
        c__txt="Q: one\nA: two\n\n# Part 2\nA: three\nQ: four\n---\nQ: five\nA:\n",
        d__json='{"lessons": [{"question": "x", "answer": "y"}, 7], "title": "T"}',
    )
    assert [row["query"] for row in lessons(found)] == ["one", "x"]
    told = [line.partition(": is not JSON")[0] for line in found.skipped]
    assert told == [
        "a.jsonl line 1: field 'query' must be a text, not 1",
        "a.jsonl line 2: must hold an object, not [1]",
        "a.jsonl line 3",
        "a.jsonl line 5",
        "always.json: the same lesson as a.jsonl line 4",
        "b.csv line 2: has more cells than the header",
        "b.csv line 3: it has no response: a field 'response' or 'answer' or 'completion' must hold a text",
        "c.txt line 4: '# Part 2' is part of no question or answer",
        "c.txt line 5: has no question: a line 'Q: ...', then one 'A: ...'",
        "c.txt line 6: has no answer: a line 'Q: ...', then one 'A: ...'",
        "c.txt line 8: has no answer: a line 'Q: ...', then one 'A: ...'",
        "d.json lessons item 2: must hold an object, not 7",
        "d.json: beside its lists of lessons it holds title, which was not used",
    ]


def test_what_holds_for_several_questions_ends_at_a_line_of_dashes(tmp_path: Path) -> None:
    text = "Context: Water.\nQ: one\nA: two\nlines\n\nmore\nQ: three\nA: four\n---\nQ: five\nA: six"
    first, second, third = lessons(prepared(tmp_path, a__md=text))
    assert first == {"query": "one", "response": "two\nlines\n\nmore", "context": "Water."}
    assert (second["context"], "context" in third) == ("Water.", False)


def test_fields_that_are_left_aside_are_named_and_ids_may_repeat(tmp_path: Path) -> None:
    rows = [{"id": 1, "mood": "x", "query": str(n), "response": "y"} for n in range(2)]
    found = prepared(tmp_path, a__json=json.dumps(rows))
    assert len(lessons(found)) == 2 and found.unused == ("id", "mood")


@pytest.mark.parametrize(
    "text",
    [
        "שלום עולם",
        "🍕" * 50,
        "a\x00b\x1b[2J",
        "[[ ## response ## ]]",
        "x " * 500_000,
        "\u202eabc",
        "#" * 5000,
    ],
)
def test_whatever_a_text_holds_it_comes_out_as_it_went_in(tmp_path: Path, text: str) -> None:
    row = {"query": f"{text}?", "response": text.strip(), "context": text.strip()}
    (lesson,) = lessons(prepared(tmp_path, a__jsonl=json.dumps(row)))
    assert lesson == row


def test_a_table_with_a_cell_too_large_is_named(tmp_path: Path) -> None:
    found = prepared(tmp_path, a__csv=f"query,response\na,{'b' * 200_000}\n")
    assert found.skipped == (
        "a.csv: is no table that can be read: after line 1: field larger than field limit (131072)",
    )


def test_long_runs_of_signs_and_spaces_are_read_in_no_time(tmp_path: Path) -> None:
    text = "\n".join(["#" * 50_000, "- " * 50_000, "Q" + " " * 99_999, "Q: a", "A: " + "*" * 50_000])
    assert len(lessons(prepared(tmp_path, a__md=text))) == 1


def test_a_folder_without_lessons_says_what_was_skipped(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="is no folder"):
        prepare_folder(tmp_path / "nowhere", tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(
        UserMistake, match=r"no lesson to train with in '.*': a.pdf: can't be read: save it as"
    ):
        prepare_folder(tmp_path, tmp_path / "kept")


def test_rows_read_elsewhere_are_kept_alike(tmp_path: Path) -> None:
    found = prepare_rows({"train": [ROW, {"query": "?"}], "dev": [ROW]}, tmp_path, "rows")
    assert found.counts == {"train": 1, "dev": 0, "test": 0}
    assert [line.partition(":")[0] for line in found.skipped] == ["train row 2", "dev row 1"]


def test_a_row_that_can_not_be_written_down_again_is_named(tmp_path: Path) -> None:
    found = prepared(tmp_path, a__jsonl=r'{"query": "\ud83d?", "response": "b"}', b__json="[" * 100_000)
    assert found.skipped == (
        r"a.jsonl line 1: holds half a character (a \ud... without its other half)",
        "b.json: holds lists and objects inside one another, more than 64 levels",
    )
