"""Finds a program by its name, by an installed package's entry point, or by the path of a Python file.

A program is trusted code: loading one runs it. Listing names runs nothing.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from programs import PROGRAMS
from programs.errors import ProgramError, ProgramInvalid, ProgramNotFound
from programs.program import PROGRAM_NAME, Program

ENTRY_POINT_GROUP = "smallforge.programs"


@dataclass(frozen=True)
class Listing:
    """One known program, without having loaded it."""

    name: str
    module: str
    summary: str


def known_programs() -> Mapping[str, str]:
    """Name -> module, with `:attribute` where it is not `program`; our own names come first and win."""
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**PROGRAMS, **{name: value for name, value in sorted(installed.items()) if name not in PROGRAMS}}


def list_programs() -> list[Listing]:
    """All known programs with the first line of their module's docstring."""
    return [Listing(name, module, _summary(module)) for name, module in known_programs().items()]


def load_program(name_or_path: str) -> Program:
    """The program of that name or in that file.

    Raises:
        ProgramNotFound: there is none; names the known ones and the nearest.
        ProgramInvalid: its code fails or defines no usable `program`.
    """
    if name_or_path.endswith(".py") or "/" in name_or_path:
        return _load_file(Path(name_or_path))
    known = known_programs()
    if name_or_path not in known:
        raise ProgramNotFound(_not_found(name_or_path, known))
    module, _, attribute = known[name_or_path].partition(":")
    return _program_in(_import(module, name_or_path), attribute or "program", repr(name_or_path))


@contextmanager
def blamed_on(program: Program) -> Iterator[None]:
    """Turns what the program's own code raises inside the block into ProgramInvalid; our errors pass."""
    try:
        yield
    except ProgramError:
        raise
    except Exception as error:
        file = inspect.getsourcefile(inspect.unwrap(program.make_module)) or ""
        raise ProgramInvalid(_failure(repr(program.name), file, error, "fails")) from error


def _load_file(path: Path) -> Program:
    if not path.is_file():
        raise ProgramNotFound(f"no program file {str(path)!r}: give a known name or the path of a .py file")
    # The whole path is in the name, so that two files called alike stay two modules.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{place}", path)
    if spec is None or spec.loader is None:
        raise ProgramInvalid(f"{str(path)!r} is no Python file: a program file's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations written as text are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a stranger's file can raise anything
        del sys.modules[spec.name]
        raise ProgramInvalid(_failure(repr(str(path)), str(path), error)) from error
    return _program_in(module, "program", repr(str(path)))


def _import(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # an installed program's module can raise anything
        raise ProgramInvalid(_failure(repr(name), module, error)) from error


def _program_in(module: ModuleType, attribute: str, called: str) -> Program:
    program = getattr(module, attribute, None)
    if program is None:
        raise ProgramInvalid(
            f"{called} defines no {attribute!r}: end it with `program = Program(name=..., ...)`"
        )
    if not isinstance(program, Program):
        raise ProgramInvalid(
            f"{attribute!r} in {called} is a {type(program).__name__}, not a smallforge Program"
        )
    if not PROGRAM_NAME.fullmatch(program.name):
        allowed = "up to 64 letters, digits, '-', '_' and '.', a letter or digit first"
        raise ProgramInvalid(f"{called} has the name {program.name!r}: allowed are {allowed}")
    return program


def _failure(called: str, file: str, error: Exception, how: str = "can't be loaded") -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "dspy":
        return f"program {called} needs DSPy, which is not installed: pip install 'smallforge[compiler]'"
    line = error.lineno if isinstance(error, SyntaxError) else _failing_line(error, file)
    where = f", line {line}" if line else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"program {called} {how}{where}: {type(error).__name__}: {text}"


def _failing_line(error: Exception, file: str) -> int | None:
    """The last line of the program's own file on the way to the error."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == file:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _not_found(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if Path(f"{name}.py").is_file():
        hint = f"; there is a file {name}.py here, which is ./{name}.py"
    else:
        hint = f"; did you mean {near[0]!r}?" if near else "; or give the path of a .py file"
    return f"no program {name!r}: known are {', '.join(known)}{hint}"


def _summary(module: str) -> str:
    """First line of a module's docstring, read from its source without running it."""
    try:
        spec = importlib.util.find_spec(module.partition(":")[0])
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return "(not installed)"
    try:
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes()))
    except SyntaxError:
        return "(its file has a syntax error)"
    return text.partition("\n")[0] if text else ""
