from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from programs.aliases import Aliases, move_alias, previous_champion, read_aliases
from programs.errors import ReleaseInvalid, ReleaseNotFound

OLD, NEW = "0123456789ab", "ba9876543210"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in (OLD, NEW):
        (tmp_path / "sum" / version).mkdir(parents=True)
    return tmp_path / "sum"


def test_a_program_without_the_file_has_no_aliases(folder: Path) -> None:
    assert read_aliases(folder) == Aliases()


def test_moves_are_kept_with_their_reasons(folder: Path) -> None:
    move_alias(folder, "champion", OLD, "first")
    move_alias(folder, "champion", NEW, "better")
    aliases = read_aliases(folder)
    assert aliases.champion == NEW
    assert [(m.version, m.previous, m.reason) for m in aliases.moves] == [
        (OLD, None, "first"),
        (NEW, OLD, "better"),
    ]


def test_the_previous_champion_is_where_rollback_goes(folder: Path) -> None:
    move_alias(folder, "champion", OLD, "first")
    with pytest.raises(ReleaseNotFound, match="no earlier champion"):
        previous_champion(folder)
    move_alias(folder, "champion", NEW, "better")
    assert previous_champion(folder) == OLD


def test_moving_to_where_it_is_changes_nothing(folder: Path) -> None:
    once = move_alias(folder, "candidate", OLD, "built")
    assert move_alias(folder, "candidate", OLD, "again") == once


@pytest.mark.parametrize("version", ["cafecafecafe", "../sum/0123456789ab", ""])
def test_an_alias_points_only_at_a_release_that_is_there(folder: Path, version: str) -> None:
    with pytest.raises(ReleaseNotFound):
        move_alias(folder, "champion", version, "why not")


@pytest.mark.parametrize("text", ["{", '{"champion": "../../etc"}', '{"forward": 1}'])
def test_a_damaged_file_is_refused(folder: Path, text: str) -> None:
    (folder / "aliases.json").write_text(text)
    with pytest.raises(ReleaseInvalid, match=r"aliases\.json"):
        read_aliases(folder)


def test_moves_of_several_processes_at_once_are_all_kept(folder: Path) -> None:
    moving = (
        "import sys; from pathlib import Path; from programs.aliases import move_alias\n"
        "for n in range(40):\n"
        "    move_alias(Path(sys.argv[1]), sys.argv[2], sys.argv[3 + n % 2], str(n))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", moving, str(folder), alias, OLD, NEW])
        for alias in ("champion", "candidate")
    ]
    assert [process.wait(30) for process in processes] == [0, 0]
    moves = read_aliases(folder).moves
    for alias in ("champion", "candidate"):
        assert [move.reason for move in moves if move.alias == alias] == [str(n) for n in range(40)]
