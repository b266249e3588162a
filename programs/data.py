"""Rows of examples: JSONL and JSON files of one's own, and benchmark data by its name.

A file is judged whole: every bad line is reported, with its number, before a model is asked anything. Knows
nothing of splits' sizes or of how examples are used.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import reprlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from programs.errors import DataInvalid
from programs.json_types import Unfit
from programs.json_values import JsonUnusable, read_json
from programs.plan import Field, fits
from programs.program import AsFields, Split
from programs.release import canonical_json, digest
from programs.tools import ToolsUnusable, call_variants, read_offer

if TYPE_CHECKING:
    import dspy

DATA_VARIABLE = "SMALLFORGE_DATA"
ORIGIN = "smallforge"
"""Field of a row that says where it is from, as of a gateway's traffic; no part of the example."""
LIBRARY = "datasets"
_HUB = "https://huggingface.co"
_SECONDS = 5.0  # to find out whether the hub is there


class Mistake(NamedTuple):
    """What is wrong with a row, after its file and place; by `number` they are told in their order."""

    number: int
    told: str


@dataclass(frozen=True)
class Row:
    """One line of a JSONL file, or one item of a JSON list; `number` counts from 1."""

    number: int
    values: Mapping[str, Any]
    unit: Literal["line", "item"] = "line"

    @property
    def place(self) -> str:
        return f"{self.unit} {self.number}"

    def mistake(self, path: Path, problem: str) -> Mistake:
        return Mistake(self.number, f"{path.name} {self.place}: {problem}")


def read_rows(path: Path) -> list[Row]:
    """The objects of a JSONL file, blank lines skipped, or of a JSON file that is a list of them.

    Raises:
        DataInvalid: the file can't be read, or has lines that hold no JSON object; carries all of them.
    """
    file = _parse(path)
    _refuse(file.mistakes)
    return file.rows


def load_examples(
    path: Path,
    inputs: Sequence[Field | str],
    labels: Sequence[Field | str],
    as_fields: AsFields | None = None,
) -> list[dspy.Example]:
    """The examples of a JSONL or JSON file; fields beyond those named are kept, for a metric may use them.

    A field given by its bare name may hold anything. A label may also be a list of accepted variants. An
    input that isn't required may be missing, or null, which is the same. `as_fields` makes each row what is
    looked at.

    Raises:
        DataInvalid: carries every line that is no object, lacks a field or has one of the wrong type.
    """
    file = _parse(path)
    found: list[Mapping[str, Any]] = []
    mistakes = list(file.mistakes)
    for row in file.rows:
        try:
            shaped = _shaped(row.values, as_fields)
        except DataInvalid as error:
            mistakes += [row.mistake(path, problem) for problem in error.mistakes]
            continue
        found += shaped
        for values in shaped:
            mistakes += [row.mistake(path, problem) for problem in row_problems(values, inputs, labels)]
    _refuse(mistakes)
    return _as_examples([_with_calls(values, labels) for values in found], inputs)


def origin_of(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Where a gateway took the row down; None of any other row."""
    origin = values.get(ORIGIN)
    return origin if isinstance(origin, dict) and "response_id" in origin else None


def _shaped(values: Mapping[str, Any], as_fields: AsFields | None) -> Sequence[Mapping[str, Any]]:
    if origin_of(values) is not None:
        # A gateway knows the program's own fields only.
        return [{name: value for name, value in values.items() if name != ORIGIN}]
    return [values] if as_fields is None else as_fields(values)


def row_problems(
    values: Mapping[str, Any], inputs: Sequence[Field | str], labels: Sequence[Field | str]
) -> list[str]:
    """Why the values are no example with these fields, one sentence each."""
    return [*_problems(values, inputs), *_label_problems(values, labels)]


def _with_calls(values: Mapping[str, Any], labels: Sequence[Field | str]) -> Mapping[str, Any]:
    """The row with the calls that it is labelled with as a program gives them, whichever way it has them."""
    names = [label.name for label in labels if isinstance(label, Field) and label.type == "tool_calls"]
    return {**values, **{name: call_variants(values[name]) for name in names}} if names else values


def _as_examples(rows: Iterable[Mapping[str, Any]], inputs: Sequence[Field | str]) -> list[dspy.Example]:
    import dspy

    from programs.tool_objects import given_tools

    typed = [field for field in inputs if isinstance(field, Field)]
    histories = {field.name for field in typed if field.type == "history"}
    names = [_name(field) for field in inputs]

    def example(values: Mapping[str, Any]) -> dspy.Example:
        given = {k: v for k, v in values.items() if v is not None or k in histories or k not in names}
        told = {k: dspy.History(messages=v or []) if k in histories else v for k, v in given.items()}
        # Not as keywords: a row may have a field that is called as a parameter is.
        return dspy.Example(given_tools(typed, told)).with_inputs(*names)

    return [example(values) for values in rows]


def read_examples(path: Path, signature: type[dspy.Signature]) -> list[dspy.Example]:
    """`load_examples` for a signature's own fields: all its inputs, all its outputs as labels."""
    from programs.signature import signature_fields

    fields = signature_fields(signature)
    return load_examples(path, fields.inputs, fields.outputs)


def content_key(example: dspy.Example) -> str:
    """Digest of an example's inputs: two examples that ask the same have the same key."""
    return _digest(_plain(dict(example.inputs().items())))


def fingerprint(examples: Iterable[dspy.Example]) -> str:
    """Digest of examples with their labels, in their order."""
    return _digest([_plain(dict(example.items())) for example in examples])


def _digest(value: Any) -> str:
    try:
        return digest(canonical_json(value))
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise DataInvalid([f"an example holds half a character (a lone surrogate): {around!r}"]) from error


@dataclass(frozen=True)
class HubDataset:
    """Where the `datasets` library finds a benchmark; `splits` maps our split to its own name for one."""

    name: str
    config: str
    splits: Mapping[Split, str]


def data_folder() -> Path | None:
    """The folder that SMALLFORGE_DATA names; None where it names none, or the `datasets` library instead."""
    folder = os.environ.get(DATA_VARIABLE)
    return Path(folder).expanduser() if folder and folder != LIBRARY else None


def data_is_named() -> bool:
    """Whether SMALLFORGE_DATA says where data comes from; where it doesn't, a program may bring a sample."""
    return bool(os.environ.get(DATA_VARIABLE))


def benchmark_rows(task: str, split: Split, hub: HubDataset, folder: Path | None) -> list[Mapping[str, Any]]:
    """Rows of a benchmark: `<task>/<split>.jsonl` in the folder where one is given, else by `datasets`.

    A split that the source doesn't have is empty.

    Raises:
        DataInvalid: neither source is there, or it can't be read; says how to get each.
    """
    if folder is not None:
        if not (folder / task / "train.jsonl").is_file():
            raise DataInvalid([f"{DATA_VARIABLE} is {str(folder)!r}, which holds no {task}/train.jsonl"])
        path = folder / task / f"{split}.jsonl"
        return [row.values for row in read_rows(path)] if path.is_file() else []
    if importlib.util.find_spec("datasets") is None:
        _no_source(task, "is not installed: pip install 'smallforge[data]'")
    if split not in hub.splits:
        return []
    return _rows_from_hub(task, hub, hub.splits[split])


def _rows_from_hub(task: str, hub: HubDataset, split: str) -> list[Mapping[str, Any]]:
    if not os.environ.get("HF_HUB_OFFLINE") and hub_is_away(os.environ.get("HF_ENDPOINT") or _HUB):
        # Read when the library is imported: it goes at once to what it has fetched before.
        os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    try:
        return [dict(row) for row in datasets.load_dataset(hub.name, hub.config, split=split)]
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).partition("\n")[0]
        _no_source(task, f"can't load {hub.name!r}: {first_line}")


def hub_is_away(address: str) -> bool:
    """Whether nothing answers there; the library itself finds that out by half a minute of retries."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        return False
    except urllib.error.URLError as error:
        # A certificate that Python does not trust may be one that the library was told to.
        return isinstance(error.reason, OSError) and not isinstance(error.reason, ssl.SSLError)
    except (ValueError, http.client.HTTPException):
        return False
    except OSError:
        return True
    return False


def _no_source(task: str, why: str) -> NoReturn:
    raise DataInvalid(
        [
            f"no data for {task!r}: set {DATA_VARIABLE} to a folder that holds {task}/train.jsonl, "
            f"or use the `datasets` library, which {why}"
        ]
    )


def _refuse(mistakes: Sequence[Mistake]) -> None:
    if mistakes:
        raise DataInvalid([mistake.told for mistake in sorted(mistakes, key=lambda one: one.number)])


class _File(NamedTuple):
    rows: list[Row]
    mistakes: list[Mistake]


def _parse(path: Path) -> _File:
    """The rows that can be read, and what is wrong with the others."""
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataInvalid([f"can't read {str(path)!r}: {error.strerror}"]) from error
    file = _File([], [])
    listed = _listed(data)
    unit: Literal["line", "item"] = "line" if listed is None else "item"
    for number, values in enumerate(_lines(data) if listed is None else listed, start=1):
        row = Row(number, values, unit)
        if isinstance(values, dict):
            file.rows.append(row)
        elif isinstance(values, JsonUnusable):
            file.mistakes.append(row.mistake(path, str(values)))
        elif values is not _BLANK:
            said = f"must hold an object, not {reprlib.repr(values)}"
            file.mistakes.append(row.mistake(path, said))
    if not file.rows and not file.mistakes:
        raise DataInvalid([f"{str(path)!r} holds no rows"])
    return file


_BLANK = object()


def _lines(data: bytes) -> Iterator[Any]:
    """What each line holds: its value, why it has none, or that it is blank."""
    for line in data.split(b"\n"):
        try:
            yield read_json(line) if line.strip() else _BLANK
        except JsonUnusable as error:
            yield error


def _listed(data: bytes) -> list[Any] | None:
    """The items of a file that is one JSON list, as some benchmarks are published; None for any other."""
    if not data.lstrip().startswith(b"["):
        return None
    try:
        values = read_json(data)
    except JsonUnusable:
        return None
    return values if isinstance(values, list) else None


def _problems(values: Mapping[str, Any], inputs: Sequence[Field | str]) -> Iterable[str]:
    for field in inputs:
        name = _name(field)
        value = values.get(name)
        optional = isinstance(field, Field) and (not field.required or field.type == "history")
        if value is None and not optional:
            yield f"field {name!r} is {'null' if name in values else 'missing'}"
        elif value is not None and isinstance(field, Field) and not fits(field, value):
            yield _wrong_type(field, value)
        elif isinstance(value, str) and not value.strip() and not optional and isinstance(field, Field):
            # A served program is never asked with it either.
            yield f"field {name!r} is empty"


def _label_problems(values: Mapping[str, Any], labels: Sequence[Field | str]) -> Iterable[str]:
    for field in labels:
        name = _name(field)
        value = values.get(name)
        if value is None:
            yield f"field {name!r} is {'null' if name in values else 'missing'}"
        elif isinstance(field, Field) and not fits(field, value):
            variants = isinstance(value, list) and bool(value) and all(fits(field, one) for one in value)
            if not variants:
                yield _wrong_type(field, value)


def _name(field: Field | str) -> str:
    return field if isinstance(field, str) else field.name


def _wrong_type(field: Field, value: object) -> str:
    if field.type in ("tools", "tool"):
        try:
            read_offer(value)
        except ToolsUnusable as error:
            return f"field {field.name!r} {error}"
    if field.type == "json":
        try:
            field.json.complete(value)
        except Unfit as error:
            return f"field {field.name!r} does not fit its type: {error}"
    wanted = f"one of {', '.join(map(repr, field.choices))}" if field.choices else field.type
    return f"field {field.name!r} must be {wanted}, not {reprlib.repr(value)}"


def _plain(value: Any) -> Any:
    """The value as JSON holds it; past turns count as the list they are."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    messages = getattr(value, "messages", None)
    return _plain(messages) if messages is not None else str(value)
