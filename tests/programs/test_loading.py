from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from programs import PROGRAMS
from programs.errors import DataInvalid, ProgramInvalid, ProgramNotFound
from programs.loading import blamed_on, known_programs, list_programs, load_program

FILE = """
from __future__ import annotations
import dspy
from smallforge import Chat, Program, exact_match

class Ask(dspy.Signature):
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()

program = Program(
    name="mine", make_module=lambda: dspy.Predict(Ask), examples=lambda split: [],
    metric=exact_match("answer"), chat=Chat(user="question", answer="answer"),
)
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_of_the_table_loads_under_its_own_name(name: str) -> None:
    assert load_program(name).name == name


def test_a_python_file_is_a_program_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    program = load_program(str(file))
    assert program.name == "mine" and list(program.make_module().signature.fields) == ["question", "answer"]


def test_two_files_of_the_same_name_are_two_programs(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(FILE.replace('"mine"', f'"{folder}"'))
    names = [load_program(str(tmp_path / folder / "mine.py")).name for folder in ("one", "two")]
    assert names == ["one", "two"]


def test_an_unknown_name_is_told_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ProgramNotFound) as caught:
        load_program("gms8k")
    assert str(caught.value) == (
        f"no program 'gms8k': known are {', '.join(PROGRAMS)}; did you mean 'gsm8k'?"
    )


def test_a_name_like_nothing_known_is_told_about_paths() -> None:
    with pytest.raises(ProgramNotFound, match=r"or give the path of a \.py file"):
        load_program("zzz")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFound, match=r"no program file '.*absent\.py'"):
        load_program(str(tmp_path / "absent.py"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import no_such_library", "line 1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("x = 1\nx.y", "line 2: AttributeError: 'int' object has no attribute 'y'"),
        ("def f(:", "line 1: SyntaxError"),
        ("x = 1", "defines no 'program'"),
        ("program = 3", "'program' in .* is a int, not a smallforge Program"),
        (FILE.replace('"mine"', '"../up"'), r"has the name '\.\./up': allowed are"),
    ],
)
def test_a_file_that_is_no_program_says_why_and_where(tmp_path: Path, source: str, sentence: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(source)
    with pytest.raises(ProgramInvalid, match=sentence):
        load_program(str(file))


def test_what_a_programs_own_code_raises_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE.replace("lambda: dspy.Predict(Ask)", "lambda: dspy.Predict(Aks)"))
    program = load_program(str(tmp_path / "mine.py"))
    said = "program 'mine' fails, line 11: NameError: name 'Aks' is not defined"
    with pytest.raises(ProgramInvalid, match=said), blamed_on(program):
        program.make_module()


def test_a_sentence_for_the_user_is_not_blamed_on_the_program() -> None:
    with pytest.raises(DataInvalid), blamed_on(load_program("gsm8k")):
        raise DataInvalid(["no rows"])


def test_a_program_of_an_installed_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "guest.py").write_text('"""Answers for guests."""' + FILE)
    info = tmp_path / "guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[smallforge.programs]\nvisitor = guest:program\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert known_programs()["visitor"] == "guest:program"
        assert load_program("visitor").name == "mine"
        assert list_programs()[-1].summary == "Answers for guests."
    finally:
        sys.path.remove(str(tmp_path))


def test_listing_imports_neither_dspy_nor_the_programs() -> None:
    script = (
        "import sys; from programs.loading import list_programs; found = list_programs(); "
        "print(len(found), all(p.summary for p in found), "
        "'dspy' in sys.modules, 'programs.tasks.gsm8k' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(len(PROGRAMS)), "True", "False", "False"]
