"""Which files a request may name: those in configured folders, reached without `..` and without links.

A request's path is text from a stranger. It is never followed before every part of it was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compiler.service.errors import PathRefused
from programs.errors import ProgramNotFound
from programs.loading import known_programs

DATA_SUFFIXES = (".jsonl", ".json")


@dataclass(frozen=True)
class Folders:
    """The folders of one server, by what they are for."""

    data: Sequence[Path]
    programs: Sequence[Path]
    uploads: Path
    releases: Path

    def rows(self, given: str) -> Path:
        """A file of rows.

        Raises:
            PathRefused: it lies elsewhere, is reached through a link, is not there or is no JSON.
        """
        path = _within(given, (*self.data, self.uploads), "folders")
        if path.suffix not in DATA_SUFFIXES:
            raise PathRefused(f"{given!r} is no file of rows: give one that ends in .jsonl or .json")
        if not path.is_file():
            raise PathRefused(f"there is no file {given!r}")
        return path

    def program(self, given: str) -> str:
        """A program by its name, or the path of a program file.

        Raises:
            ProgramNotFound: no program is called so.
            PathRefused: a file elsewhere; its code would be run.
        """
        if not given.endswith(".py") and "/" not in given and "\\" not in given:
            if given not in (known := known_programs()):
                raise ProgramNotFound(f"no program is called {given!r}: there are {', '.join(known)}")
            return given
        path = _within(given, self.programs, "programs")
        if not path.is_file():
            raise PathRefused(f"there is no file {given!r}")
        return str(path)

    def saves(self, given: str) -> Path:
        """A folder for releases, which need not be there yet.

        Raises:
            PathRefused: it lies elsewhere, is reached through a link or is a file.
        """
        path = _within(given, (self.releases, *self.data), "folders")
        if path.exists() and not path.is_dir():
            raise PathRefused(f"{given!r} is a file: name the folder that takes the releases")
        return path

    def program_files(self) -> list[str]:
        """The program files that a request may name."""
        found = [path for folder in self.programs for path in sorted(folder.glob("*.py"))]
        return [str(path) for path in found if not path.is_symlink()]


def _within(given: str, folders: Sequence[Path], setting: str) -> Path:
    """The path, if it lies in one of the folders."""
    if not given or "\0" in given or "\\" in given:
        raise PathRefused(f"{given!r} is no path")
    path = Path(given)
    if ".." in path.parts:
        raise PathRefused(f"{given!r} leads upwards: '..' is not allowed in a path")
    whole = Path.cwd() / path
    for folder in folders:
        root = Path.cwd() / folder
        if whole == root or root in whole.parents:
            _refuse_links(given, root, whole)
            return path
    allowed = ", ".join(repr(str(folder)) for folder in folders) or "none"
    raise PathRefused(
        f"{given!r} is in no folder that requests may name: {allowed}; [console] {setting} adds one"
    )


def _refuse_links(given: str, root: Path, whole: Path) -> None:
    # The folder itself may be a link of the operator's; below it everything is as it seems.
    step = root
    for part in whole.relative_to(root).parts:
        step = step / part
        if step.is_symlink():
            raise PathRefused(f"{given!r} leads through a link, {part!r}: name the file itself")
