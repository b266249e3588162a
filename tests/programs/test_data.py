from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy
import pytest

from programs.data import (
    HubDataset,
    benchmark_rows,
    content_key,
    fingerprint,
    hub_is_away,
    load_examples,
    read_examples,
    read_rows,
)
from programs.errors import DataInvalid
from programs.plan import Field

HUB = HubDataset("owner/name", "main", {"train": "train"})


def write(folder: Path, *lines: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def mistakes(path: Path, inputs: list[Field | str], labels: list[Field | str]) -> tuple[str, ...]:
    with pytest.raises(DataInvalid) as caught:
        load_examples(path, inputs, labels)
    return caught.value.mistakes


def test_rows_keep_their_line_numbers_over_blank_lines(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, '{"q": "é"}', "", '{"q": "b"}'))
    assert [(row.number, row.values) for row in rows] == [(1, {"q": "é"}), (3, {"q": "b"})]


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistakes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"q": 1}\r\n{"q": 2}\r\n')
    assert [row.values["q"] for row in read_rows(tmp_path / "rows.jsonl")] == [1, 2]


def test_all_bad_lines_are_reported_at_once_in_their_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"question": "a", "answer": "b"}',
        '{"question": "a"}',
        "x",
        "[1, 2]",
        '{"question": null, "answer": "b"}',
        '{"question": 5, "answer": "b"}',
        '{"question": "a", "answer": NaN}',
    )
    assert mistakes(path, [Field("question")], [Field("answer")]) == (
        "rows.jsonl line 2: field 'answer' is missing",
        "rows.jsonl line 3: is not JSON: Expecting value: column 1",
        "rows.jsonl line 4: must hold an object, not [1, 2]",
        "rows.jsonl line 5: field 'question' is null",
        "rows.jsonl line 6: field 'question' must be str, not 5",
        "rows.jsonl line 7: is not JSON: NaN is no JSON number",
    )


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"q": "a"}\n{"q": "\xff"}\n')
    with pytest.raises(DataInvalid, match="line 2: is not UTF-8"):
        read_rows(tmp_path / "rows.jsonl")


def test_half_a_character_is_named_and_a_whole_one_is_none(tmp_path: Path) -> None:
    lines = [r'{"q": "\ud83e\udd89"}', r'{"q": "\uD83E"}', r'{"q": "C:\\udd\u00e9"}']
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataInvalid) as caught:
        read_rows(tmp_path / "rows.jsonl")
    (mistake,) = caught.value.mistakes
    assert mistake == r"rows.jsonl line 2: holds half a character (a \ud... without its other half)"


@pytest.mark.parametrize("name", ["self", "base", "inputs", "items", "_store", "with_inputs"])
def test_a_row_may_call_a_field_whatever_it_likes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, json.dumps({"q": "a", "answer": "b", name: {"q": "forged"}}))
    (example,) = load_examples(path, [Field("q")], [Field("answer")])
    assert dict(example.items()) == {"q": "a", "answer": "b", name: {"q": "forged"}}


def test_an_input_that_no_request_could_bring_empty_must_not_be_empty(tmp_path: Path) -> None:
    path = write(tmp_path, '{"q": " \\n", "hint": "", "answer": ""}')
    assert mistakes(path, [Field("q"), Field("hint", required=False)], [Field("answer")]) == (
        "rows.jsonl line 1: field 'q' is empty",
    )


def test_a_value_outside_its_choices_is_told_them(tmp_path: Path) -> None:
    path = write(tmp_path, '{"q": "a", "label": "later"}')
    assert mistakes(path, ["q"], [Field("label", "literal", ("now", "never"))]) == (
        "rows.jsonl line 1: field 'label' must be one of 'now', 'never', not 'later'",
    )


@pytest.mark.parametrize("content", ["", "\n\n"], ids=["nothing", "blank"])
def test_a_file_without_rows_is_a_mistake(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(DataInvalid, match="holds no rows"):
        read_rows(tmp_path / "rows.jsonl")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"can't read '.*rows\.jsonl': No such file"):
        read_rows(tmp_path / "rows.jsonl")


def test_examples_know_their_inputs_and_keep_further_fields(tmp_path: Path) -> None:
    path = write(tmp_path, '{"question": "a", "answer": "b", "reasoning": "c"}')
    (example,) = load_examples(path, [Field("question")], [Field("answer")])
    assert dict(example.inputs().items()) == {"question": "a"}
    assert dict(example.labels().items()) == {"answer": "b", "reasoning": "c"}


def test_a_label_may_be_a_list_of_accepted_variants(tmp_path: Path) -> None:
    path = write(tmp_path, '{"q": "a", "answer": ["b", "c"]}')
    (example,) = load_examples(path, [Field("q")], [Field("answer")])
    assert example.answer == ["b", "c"]


def test_a_signature_names_inputs_and_labels(tmp_path: Path) -> None:
    path = write(tmp_path, '{"question": "a", "answer": 1}', '{"question": "a", "answer": "b"}')
    with pytest.raises(DataInvalid, match="line 1: field 'answer' must be str, not 1"):
        read_examples(path, dspy.Signature("question -> answer"))


def test_past_turns_become_a_history_and_may_be_missing(tmp_path: Path) -> None:
    turn = '{"q": "b", "past": [{"q": "a", "answer": "x"}], "answer": "y"}'
    path = write(tmp_path, turn, '{"q": "c", "answer": "z"}')
    first, second = load_examples(path, [Field("q"), Field("past", "history")], [Field("answer")])
    assert first.past == dspy.History(messages=[{"q": "a", "answer": "x"}])
    assert "past" not in second


def test_a_field_given_by_name_may_hold_anything(tmp_path: Path) -> None:
    path = write(tmp_path, '{"q": {"deep": [1]}, "answer": 2}')
    assert load_examples(path, ["q"], ["answer"])[0].q == {"deep": [1]}


def test_the_same_question_with_another_answer_has_the_same_key() -> None:
    one = dspy.Example(q="a", past=dspy.History(messages=[]), answer="x").with_inputs("q", "past")
    two = dspy.Example(past=dspy.History(messages=[]), answer="y", q="a").with_inputs("q", "past")
    assert content_key(one) == content_key(two)
    assert fingerprint([one]) != fingerprint([two])


def test_other_turns_make_another_question() -> None:
    pasts: tuple[list[dict[str, str]], ...] = ([], [{"q": "z"}])
    examples = [
        dspy.Example(q="a", past=dspy.History(messages=past)).with_inputs("q", "past") for past in pasts
    ]
    assert len({content_key(example) for example in examples}) == 2


def test_benchmark_rows_come_from_the_folder_and_a_split_it_lacks_is_empty(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "train.jsonl").write_text('{"question": "a"}\n')
    assert benchmark_rows("task", "train", HUB, tmp_path) == [{"question": "a"}]
    assert benchmark_rows("task", "test", HUB, tmp_path) == []


def test_a_folder_without_the_benchmark_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"SMALLFORGE_DATA is .*, which holds no task/train\.jsonl"):
        benchmark_rows("task", "train", HUB, tmp_path)


def test_the_hub_is_away_where_nothing_answers_and_not_where_it_refuses() -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert not hub_is_away(address)
    assert hub_is_away(address)


def test_an_optional_input_that_is_null_is_as_good_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "a", "hint": null, "answer": "b", "note": null}\n{"q": "a", "answer": "b"}')
    null, missing = load_examples(path, [Field("q"), Field("hint", required=False)], [Field("answer")])
    assert dict(null.inputs().items()) == dict(missing.inputs().items()) == {"q": "a"}
    assert content_key(null) == content_key(missing) and null.note is None


def test_rows_of_a_form_of_their_own_are_made_a_programs_fields(tmp_path: Path) -> None:
    def as_fields(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "pairs" not in row:
            raise DataInvalid(["has no pairs"])
        return [{"q": q, "answer": a} for q, a in row["pairs"]]

    path = write(tmp_path, '{"pairs": [["a", "b"], ["c", "d"]]}')
    found = load_examples(path, [Field("q")], [Field("answer")], as_fields)
    assert [(example.q, example.answer) for example in found] == [("a", "b"), ("c", "d")]
    path = write(tmp_path, '{"pairs": [["a", 1]]}', '{"q": "a", "answer": "b"}')
    with pytest.raises(DataInvalid) as caught:
        load_examples(path, [Field("q")], [Field("answer")], as_fields)
    assert caught.value.mistakes == (
        "rows.jsonl line 1: field 'answer' must be str, not 1",
        "rows.jsonl line 2: has no pairs",
    )


def test_a_file_may_be_one_json_list_and_its_items_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "[", '  {"q": "a", "answer": "b"},', '  {"q": "c",', '"answer": "d"}]')
    assert [row.values["q"] for row in read_rows(path)] == ["a", "c"]
    path = write(tmp_path, '[{"q": "a", "answer": "b"},', ' 3, {"q": "a"}]')
    assert mistakes(path, [Field("q")], [Field("answer")]) == (
        "rows.jsonl item 2: must hold an object, not 3",
        "rows.jsonl item 3: field 'answer' is missing",
    )
    path = write(tmp_path, '[{"q": "a"},', "{]")
    with pytest.raises(DataInvalid, match="line 1: is not JSON"):
        read_rows(path)


@pytest.mark.parametrize("content", ["[]", "[\n]"])
def test_a_list_without_rows_is_a_mistake(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataInvalid, match="holds no rows"):
        read_rows(write(tmp_path, content))


def test_an_example_of_a_programs_own_with_half_a_character_is_told() -> None:
    example = dspy.Example(q="an owl \ud83e is half", answer="b").with_inputs("q")
    with pytest.raises(DataInvalid, match=r"half a character .*: '.*owl \\ud83e is"):
        content_key(example)
    with pytest.raises(DataInvalid, match="half a character"):
        fingerprint([example])
