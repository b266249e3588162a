from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compiler.errors import BuildMismatch, StateNotWritten
from compiler.request import Cast
from compiler.workshop import identity_of, is_begun, new_build_id, open_workshop
from tests.compiler.scripted import Adder, Bound, Named, program, request

ASKED: dict[str, Any] = {"seed": 0, "data": {"train": "abc"}}


def opened(folder: Path, asked: dict[str, Any] = ASKED, build_id: str = "mine") -> Any:
    bound = Bound(Adder())
    return open_workshop(request(folder, program()), build_id, asked, Cast(bound))


def test_a_build_is_known_once_it_was_opened(tmp_path: Path) -> None:
    state = tmp_path / ".smallforge"
    assert not is_begun(state, "mine")
    with opened(tmp_path):
        assert is_begun(state, "mine")


def test_the_same_request_opens_the_build_again_another_does_not(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path):
            pass
    with pytest.raises(BuildMismatch, match=r"was begun with data .*'abc'.*, not .*'x'"):
        opened(tmp_path, {"seed": 0, "data": {"train": "x"}}).__enter__()


def test_a_build_that_runs_is_not_run_a_second_time(tmp_path: Path) -> None:
    with (
        opened(tmp_path),
        pytest.raises(BuildMismatch, match="'mine' is being run by another process"),
        opened(tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["../elsewhere", "", "a/b", ".hidden"])
def test_an_id_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildMismatch, match="is no build id"):
        opened(tmp_path, build_id=name).__enter__()


def test_without_a_teacher_the_student_teaches_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        assert shop.teacher is shop.student


def test_student_and_teacher_have_their_own_calls(tmp_path: Path) -> None:
    student, teacher = Bound(Adder()), Bound(Adder(), "teacher", Named("big"))
    with open_workshop(request(tmp_path, program()), "mine", ASKED, Cast(student, teacher)) as shop:
        assert shop.teacher is not shop.student
    assert identity_of(student) != identity_of(teacher)


def test_a_state_folder_that_refuses_is_one_clean_sentence(tmp_path: Path) -> None:
    (tmp_path / ".smallforge").write_text("a file")
    with pytest.raises(StateNotWritten, match="can't keep the build in"):
        opened(tmp_path).__enter__()


def test_build_ids_sort_by_time_and_differ() -> None:
    first, second = new_build_id(), new_build_id()
    assert first != second and first[:8] <= second[:8]
