"""A request names files in configured folders and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.service.errors import PathRefused
from compiler.service.folders import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("data", "data/inner", "programs", "uploads", "elsewhere"):
        (tmp_path / name).mkdir()
    for name in ("data/rows.jsonl", "data/inner/rows.json", "elsewhere/secret.jsonl", "programs/own.py"):
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "data" / "notes.txt").write_text("none")
    (tmp_path / "data" / "link.jsonl").symlink_to(tmp_path / "elsewhere" / "secret.jsonl")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    return Folders([tmp_path / "data"], [tmp_path / "programs"], tmp_path / "uploads", tmp_path / "releases")


@pytest.mark.parametrize("name", ["data/rows.jsonl", "data/inner/rows.json"])
def test_rows_in_a_configured_folder_are_taken(folders: Folders, tmp_path: Path, name: str) -> None:
    assert folders.rows(str(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("elsewhere/secret.jsonl", "is in no folder"),
        ("data/../elsewhere/secret.jsonl", "leads upwards"),
        ("data/link.jsonl", "leads through a link, 'link.jsonl'"),
        ("data/linked/secret.jsonl", "leads through a link, 'linked'"),
        ("data/notes.txt", "no file of rows"),
        ("data/none.jsonl", "there is no file"),
        ("programs/own.py", "is in no folder"),
        ("data\\rows.jsonl", "is no path"),
        ("data/rows\0.jsonl", "is no path"),
    ],
)
def test_any_other_file_is_refused_with_the_reason(
    folders: Folders, tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(PathRefused, match=why.replace("'", ".")):
        folders.rows(f"{tmp_path}/{name}")


def test_an_absolute_path_of_the_machine_is_refused(folders: Folders) -> None:
    with pytest.raises(PathRefused, match="in no folder that requests may name"):
        folders.rows("/etc/passwd")


def test_a_program_is_a_name_or_a_file_of_the_folder_for_programs(folders: Folders, tmp_path: Path) -> None:
    assert folders.program("gsm8k") == "gsm8k"
    assert folders.program(f"{tmp_path}/programs/own.py") == f"{tmp_path}/programs/own.py"
    for given in (f"{tmp_path}/data/rows.py", "./own.py", "a/b"):
        with pytest.raises(PathRefused):
            folders.program(given)


def test_what_was_uploaded_is_no_program(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "uploads" / "evil.py").write_text("raise SystemExit")
    with pytest.raises(PathRefused):
        folders.program(f"{tmp_path}/uploads/evil.py")


def test_releases_are_saved_in_their_folder_or_a_configured_one(folders: Folders, tmp_path: Path) -> None:
    assert folders.saves(f"{tmp_path}/releases") == tmp_path / "releases"
    assert folders.saves(f"{tmp_path}/data/new") == tmp_path / "data" / "new"
    for given in (f"{tmp_path}/data/rows.jsonl", f"{tmp_path}/elsewhere", f"{tmp_path}/data/linked/new"):
        with pytest.raises(PathRefused):
            folders.saves(given)
