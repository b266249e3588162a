from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.new import NewProgram, NewProgramRefused, Written, new_program
from programs.errors import DataInvalid
from programs.loading import load_program
from programs.measuring import metric_name
from programs.plan import Field
from programs.program import Program
from programs.signature import signature_fields

Rows = Sequence[dict[str, Any]]
TURNS = [
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Mira"},
    {"role": "tool", "content": "x"},
]


def write(folder: Path, rows: Rows) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make(
    folder: Path, rows: Rows, answer: str = "answer", inputs: tuple[str, ...] = ()
) -> tuple[Program, Written]:
    """The program that is written for these rows, loaded from its file."""
    written = new_program(NewProgram("mine", write(folder, rows), answer, inputs, folder))
    return load_program(str(written.path)), written


def fields(program: Program) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    module = program.make_module()
    return signature_fields(getattr(module, "predict", module).signature)


def qa(number: int, **more: Any) -> dict[str, Any]:
    return {"question": f"question {number}?", "answer": f"answer {number}", **more}


def test_question_and_answer_make_a_plain_program(tmp_path: Path) -> None:
    program, written = make(tmp_path, [qa(n) for n in range(60)])
    assert fields(program) == ((Field("question"),), (Field("answer"),))
    assert type(program.make_module()) is dspy.Predict
    assert metric_name(program.metric) == "exact_match(answer)"
    assert (program.chat.user, program.chat.answer, program.chat.reasoning) == ("question", "answer", ())
    assert [len(program.examples(split)) for split in ("train", "dev", "test")] == [60, 0, 0]
    assert program.examples("train")[3].inputs().toDict() == {"question": "question 3?"}
    assert written.notes == ("Inputs: question (str); output: answer.",)


def test_a_few_short_labels_become_a_literal(tmp_path: Path) -> None:
    rows = [{"message": f"m{n}", "label": ("refund", "bug", "other")[n % 3]} for n in range(60)]
    program, _ = make(tmp_path, rows, "label")
    assert fields(program)[1] == (Field("label", "literal", ("bug", "other", "refund")),)
    assert metric_name(program.metric) == "exact_match(label)"


@pytest.mark.parametrize(
    ("answers", "kind", "metric"),
    [
        ([1, 2, 3], "int", "numeric_match(answer)"),
        ([1, 2.5, 3], "float", "numeric_match(answer)"),
        (["$1,200", "7", "12 km"], "str", "numeric_match(answer)"),
        ([True, False, True], "bool", "exact_match(answer)"),
        ([["a"], ["b", "c"], []], "list[str]", "exact_match(answer)"),
        (["a word", "another word", "a third"], "str", "exact_match(answer)"),
        (["word " * 20, "text " * 30, "more " * 12], "str", "token_f1(answer)"),
    ],
    ids=["int", "float", "amounts", "bool", "list", "short", "long"],
)
def test_the_answers_decide_type_and_metric(
    tmp_path: Path, answers: list[Any], kind: str, metric: str
) -> None:
    program, _ = make(tmp_path, [{"question": f"q{n}", "answer": answer} for n, answer in enumerate(answers)])
    outputs = {field.name: field.type for field in fields(program)[1]}
    assert outputs["answer"] == kind and metric_name(program.metric) == metric
    assert ("reasoning" in outputs) is metric.startswith("numeric")


def test_reasoning_in_the_rows_is_shown_by_demonstrations(tmp_path: Path) -> None:
    program, _ = make(tmp_path, [qa(n, reasoning="because") for n in range(5)])
    assert type(program.make_module()) is dspy.ChainOfThought
    assert program.chat.reasoning == ("reasoning",)
    assert program.examples("train")[0].reasoning == "because"


def test_context_takes_the_system_text_and_past_turns_become_history(tmp_path: Path) -> None:
    program, _ = make(tmp_path, [qa(n, context=f"c{n}", history=TURNS if n else []) for n in range(3)])
    assert (program.chat.user, program.chat.system, program.chat.history) == (
        "question",
        "context",
        "history",
    )
    assert program.examples("train")[1].history.messages == [{"question": "Who?"}, {"answer": "Mira"}]


def test_nested_values_reach_the_model_as_json(tmp_path: Path) -> None:
    program, _ = make(tmp_path, [qa(n, context=[{"title": f"t{n}"}]) for n in range(3)])
    assert fields(program)[0] == (Field("question"), Field("context"))
    assert program.examples("train")[1].context == '[{"title": "t1"}]'


def test_a_field_that_is_not_in_every_row_is_optional(tmp_path: Path) -> None:
    program, _ = make(tmp_path, [qa(0, note="n", tags=["a"]), qa(1), qa(2, note=None)])
    assert fields(program)[0] == (
        Field("question"),
        Field("note", required=False),
        Field("tags", "list[str]", (), False),
    )


def test_what_can_be_no_input_is_left_out_and_said(tmp_path: Path) -> None:
    odd = {
        "id": 0,
        "row_id": 0,
        "split": "train",
        "my field": "x",
        "class": "y",
        "rationale": "z",
        "answers": ["w"],
    }
    rows = [
        qa(n, **{**odd, "row_id": n, "class": f"y{n}", "my field": f"x{n}", "rationale": f"z{n}"})
        for n in range(3)
    ]
    program, written = make(tmp_path, rows)
    assert [field.name for field in fields(program)[0]] == ["question"]
    assert written.notes == (
        "Left 'id' out: it looks like an identifier.",
        "Left 'row_id' out: it looks like an identifier.",
        "Left 'split' out: it is the same in every row.",
        "Left 'my field' out: it is no Python name.",
        "Left 'class' out: it is no Python name.",
        "Left 'rationale' out: it looks like a worked answer; call it 'reasoning' to have it demonstrated.",
        "Left 'answers' out: it gives the answer away.",
        "Inputs: question (str); output: answer.",
        "A build needs about 50 rows to train, select and test; these are 3.",
    )


def test_inputs_can_be_chosen(tmp_path: Path) -> None:
    program, _ = make(
        tmp_path, [qa(n, hint=f"h{n}", topic=f"t{n}") for n in range(3)], inputs=("question", "hint")
    )
    assert [field.name for field in fields(program)[0]] == ["question", "hint"]


def test_rows_without_the_answer_are_all_named(tmp_path: Path) -> None:
    path = write(tmp_path, [qa(0), {"question": "q"}, qa(1), {"question": "q", "answer": None}])
    with pytest.raises(DataInvalid) as caught:
        new_program(NewProgram("mine", path, "answer", out=tmp_path))
    assert caught.value.mistakes == (
        "rows.jsonl line 2: field 'answer' is missing",
        "rows.jsonl line 4: field 'answer' is missing",
    )


@pytest.mark.parametrize(
    ("name", "answer", "inputs", "sentence"),
    [
        ("../up", "answer", (), "'../up' is no program name"),
        ("mine", "reply", (), "no row has a field 'reply'; the rows have question, answer"),
        ("mine", "answer", ("topic",), "no row has a field 'topic'"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, name: str, answer: str, inputs: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(NewProgramRefused, match=sentence):
        new_program(NewProgram(name, write(tmp_path, [qa(0)]), answer, inputs, tmp_path))


def test_rows_with_nothing_but_the_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NewProgramRefused, match="no field beside 'answer' can be an input"):
        make(tmp_path, [{"answer": "a", "id": 1}])


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    make(tmp_path, [qa(0)])
    with pytest.raises(NewProgramRefused, match=r"mine\.py' exists"):
        make(tmp_path, [qa(0)])


def test_rows_beside_the_file_are_found_from_anywhere_and_may_move_with_it(tmp_path: Path) -> None:
    _, written = make(tmp_path, [qa(n) for n in range(3)])
    assert 'DATA = Path(__file__).parent / "rows.jsonl"' in written.path.read_text()
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert len(load_program(str(moved / "mine.py")).examples("train")) == 3


def test_the_files_written_pass_ruff_and_mypy(tmp_path: Path) -> None:
    label = [{"text": f"m{n}", "label": f"a rather long label number {n % 7}"} for n in range(60)]
    rich = [
        qa(
            n,
            context=[{"t": n}],
            history=TURNS if n else None,
            count=n,
            note=None if n else "x",
            flags=[True],
            more=f"m{n}",
        )
        for n in range(4)
    ]
    asked = {
        "plain": ([qa(n) for n in range(4)], "answer"),
        "3-labels": (label, "label"),
        "path": (rich, "answer"),
        "sums": (
            [{"text": "1+1", "total": 2, "reasoning": "one and one"}, {"text": "2", "total": 2}],
            "total",
        ),
    }
    for name, (rows, answer) in asked.items():
        new_program(NewProgram(name, write(tmp_path, rows), answer, out=tmp_path))
        load_program(str(tmp_path / f"{name}.py")).make_module()
    files = sorted(str(path) for path in tmp_path.glob("*.py"))
    for command in (
        ["ruff", "check", "--isolated", "--select", "E,F,I,B,UP,SIM", *files],
        ["ruff", "format", "--isolated", "--check", *files],
    ):
        done = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    # File names are no module names here, so each is checked as a script of its own.
    checked = [
        subprocess.run([sys.executable, "-m", "mypy", file], capture_output=True, text=True) for file in files
    ]
    assert [done.stdout for done in checked if done.returncode] == []
