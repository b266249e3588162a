"""Uploaded rows: kept by the digest of their content, and looked at line by line before a model is asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from compiler.errors import DataTooSmall
from compiler.rehearsal import fields_needed
from compiler.report.text import one_line
from compiler.request import BuildRequest, DataPaths
from compiler.service.errors import RequestInvalid, UploadTooLarge
from compiler.service.folders import DATA_SUFFIXES
from compiler.split import load_parts
from programs.data import load_examples
from programs.errors import DataInvalid
from programs.loading import blamed_on, load_program

_CHUNK = 1024 * 1024
_PREVIEW = 3
_LONGEST_CELL = 240
_MOST_NAMES = 8
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Checked:
    """What a look at a file of rows has found; it is usable if there are no mistakes."""

    rows: int
    fields: Sequence[str]
    preview: Sequence[Mapping[str, str]]
    mistakes: Sequence[str]
    notes: Sequence[str] = ()


async def keep_upload(file: UploadFile, folder: Path, most_mb: int) -> Path:
    """Where it lies now: under its own name, in a folder that its content names.

    Raises:
        RequestInvalid: it is no JSON by its name.
        UploadTooLarge
    """
    name = _NOT_IN_A_NAME.sub("-", Path(file.filename or "").name).strip("-.")[-80:]
    if not name.endswith(DATA_SUFFIXES):
        raise RequestInvalid(f"{file.filename!r} is no file of rows: upload one that ends in .jsonl or .json")
    data = bytearray()
    while chunk := await file.read(_CHUNK):
        data += chunk
        if len(data) > most_mb * 1024 * 1024:
            raise UploadTooLarge(f"{name!r} is larger than the {most_mb} MB that an upload may have")
    return await asyncio.to_thread(_keep, bytes(data), folder, name)


def _keep(data: bytes, folder: Path, name: str) -> Path:
    path = folder / sha256(data).hexdigest()[:16] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.write_bytes(data)
        draft.rename(path)
    return path


def check_rows(program_name: str, path: Path) -> Checked:
    """Looks at every line as a build would.

    Raises:
        ProgramNotFound, ProgramInvalid
    """
    program = load_program(program_name)
    with blamed_on(program):
        module = program.make_module()
    needed = fields_needed(module, program)
    fields = [field if isinstance(field, str) else field.name for field in (*needed[0], *needed[1])]
    try:
        examples = load_examples(path, *needed)
        parts = load_parts(BuildRequest(program, DataPaths(path)), needed)
    except DataInvalid as error:
        return Checked(0, fields, (), error.mistakes)
    except DataTooSmall as error:
        return Checked(len(examples), fields, (), [str(error)])
    preview = [{name: _cell(example.get(name)) for name in fields} for example in examples[:_PREVIEW]]
    return Checked(len(examples), fields, preview, (), [*parts.notes, *_unnamed(examples, fields)])


def _unnamed(examples: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> Iterator[str]:
    """A field of another name is for a metric, or a misspelt one."""
    others = sorted(set[str]().union(*(example.keys() for example in examples)) - set(fields))
    if others:
        shown = ", ".join(map(repr, others[:_MOST_NAMES]))
        yield f"The program names no field {shown}: check the spelling, unless its metric reads it."


def _cell(value: Any) -> str:
    return one_line(getattr(value, "messages", value), _LONGEST_CELL)
