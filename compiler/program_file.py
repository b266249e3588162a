"""The text of a program file, from a sketch of the program.

Writes plain Python that passes ruff and mypy; knows nothing of the rows it was guessed from.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_WIDTH = 88  # what most formatters keep to


@dataclass(frozen=True)
class FieldSketch:
    """One field; `reads` says how a row's value becomes the field's."""

    name: str
    annotation: str
    required: bool
    reads: Literal["none", "text", "turns"]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sketch:
    """A program as far as its file says it. `works_out` has the model reason before it answers."""

    name: str
    inputs: tuple[FieldSketch, ...]
    answer: FieldSketch
    works_out: bool
    shows_reasoning: bool
    """The rows hold reasoning, which demonstrations may show."""
    metric: str
    user: str
    system: str | None
    history: str | None
    max_tokens: int

    @property
    def converts(self) -> bool:
        return any(field.reads != "none" for field in (*self.inputs, self.answer))


def program_source(sketch: Sketch, data: str) -> str:
    """The whole file; `data` is the rows' path, absolute or as seen from the file's folder."""
    parts = [
        f"{_heading(sketch)}\n\nDATA = {_data_path(data)}",
        _signature(sketch),
        _module(sketch),
        *_conversions(sketch),
        _examples(sketch),
        _program(sketch),
    ]
    return "\n\n\n".join(parts) + "\n"


def _data_path(data: str) -> str:
    return (
        f"Path({_quoted(data)})" if Path(data).is_absolute() else f"Path(__file__).parent / {_quoted(data)}"
    )


def _heading(sketch: Sketch) -> str:
    names = sorted(
        {"Chat", "Program", "Sampling", "Split", sketch.metric, _reader(sketch)}, key=_import_order
    )
    typing = [
        name for name, used in (("Any", sketch.converts), ("Literal", bool(sketch.answer.choices))) if used
    ]
    standard = [
        *(["import json"] if _reads(sketch, "text") else []),
        "from pathlib import Path",
        *([f"from typing import {', '.join(typing)}"] if typing else []),
    ]
    inputs = ", ".join(field.name for field in sketch.inputs)
    title = f'"""{sketch.name}: {inputs} -> {sketch.answer.name}."""'
    if len(title) > _WIDTH:
        title = f'"""{sketch.name}: {len(sketch.inputs)} inputs -> {sketch.answer.name}."""'
    return "\n".join(
        [
            title,
            "",
            "from __future__ import annotations",
            "",
            *standard,
            "",
            "import dspy",
            _wrapped("from smallforge import ", names, "(", ")", 0),
        ]
    )


def _signature(sketch: Sketch) -> str:
    lines = [f"class {_class_name(sketch.name)}(dspy.Signature):", f'    """{_instruction(sketch)}"""', ""]
    for field in sketch.inputs:
        optional = "" if field.required or field.annotation == "dspy.History" else " | None"
        lines.append(f"    {field.name}: {field.annotation}{optional} = dspy.InputField()")
    if sketch.answer.choices:
        choices = [_quoted(choice) for choice in sketch.answer.choices]
        head = f"    {sketch.answer.name}: Literal["
        line = f"{head}{', '.join(choices)}] = dspy.OutputField()"
        if len(line) > _WIDTH:
            line = "\n".join(
                [head, *(f"        {choice}," for choice in choices), "    ] = dspy.OutputField()"]
            )
        lines.append(line)
    else:
        lines.append(f"    {sketch.answer.name}: {sketch.answer.annotation} = dspy.OutputField()")
    return "\n".join(lines)


def _module(sketch: Sketch) -> str:
    kind = "ChainOfThought" if sketch.works_out else "Predict"
    return f"def make_module() -> dspy.Module:\n    return dspy.{kind}({_class_name(sketch.name)})"


def _conversions(sketch: Sketch) -> Iterator[str]:
    if _reads(sketch, "text"):
        yield (
            "def as_text(value: Any) -> str:\n"
            '    """Nested values as JSON, which a model can read."""\n'
            "    return json.dumps(value, ensure_ascii=False)"
        )
    if _reads(sketch, "turns"):
        yield (
            "def as_turns(messages: list[dict[str, Any]] | None) -> dspy.History:\n"
            '    """Chat messages as past turns of this program."""\n'
            f'    fields = {{"user": {_quoted(sketch.user)}, "assistant": {_quoted(sketch.answer.name)}}}\n'
            '    said = [m for m in messages or [] if m["role"] in fields]\n'
            '    return dspy.History(messages=[{fields[m["role"]]: m["content"]} for m in said])'
        )


def _examples(sketch: Sketch) -> str:
    head = (
        "def examples(split: Split) -> list[dspy.Example]:\n"
        '    """All rows; the build cuts what selects and what tests from them."""\n'
    )
    if not sketch.converts:
        return f'{head}    return read_examples(DATA, {_class_name(sketch.name)}) if split == "train" else []'
    values = [f"{field.name}={_value(field)}" for field in (*sketch.inputs, sketch.answer)]
    if sketch.shows_reasoning:
        values.append('reasoning=row["reasoning"]')
    named = [_quoted(field.name) for field in sketch.inputs]
    return "\n".join(
        [
            head + '    rows = read_rows(DATA) if split == "train" else []',
            "    return [",
            "        dspy.Example(",
            *(f"            {value}," for value in values),
            _wrapped("        ).with_inputs", named, "(", ")", 8),
            "        for row in (row.values for row in rows)",
            "    ]",
        ]
    )


def _program(sketch: Sketch) -> str:
    chat = {
        "user": sketch.user,
        "system": sketch.system,
        "history": sketch.history,
        "answer": sketch.answer.name,
    }
    parts = [f"{key}={_quoted(value)}" for key, value in chat.items() if value is not None]
    if sketch.works_out:
        parts.append('reasoning=("reasoning",)')
    return "\n".join(
        [
            "program = Program(",
            f"    name={_quoted(sketch.name)},",
            "    make_module=make_module,",
            "    examples=examples,",
            f"    metric={sketch.metric}({_quoted(sketch.answer.name)}),",
            _wrapped("    chat=Chat", parts, "(", ")", 4) + ",",
            f"    sampling=Sampling(temperature=0.0, max_tokens={sketch.max_tokens}),",
            ")",
        ]
    )


def _value(field: FieldSketch) -> str:
    cell = f"row[{_quoted(field.name)}]" if field.required else f"row.get({_quoted(field.name)})"
    return {"none": cell, "text": f"as_text({cell})", "turns": f"as_turns({cell})"}[field.reads]


def _instruction(sketch: Sketch) -> str:
    """What the unoptimised program is told; an optimiser may find better words."""
    asked = [field.name.replace("_", " ") for field in sketch.inputs if field.annotation != "dspy.History"]
    given = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])} and {asked[-1]}"
    text = f"Given the {given}, give the {sketch.answer.name.replace('_', ' ')}."
    return text if len(text) < _WIDTH - 10 else f"Give the {sketch.answer.name.replace('_', ' ')}."


def _wrapped(head: str, parts: list[str], opening: str, closing: str, indent: int) -> str:
    """The parts on one line where they fit, else one a line."""
    bracketed = "import" not in head
    line = f"{head}{opening if bracketed else ''}{', '.join(parts)}{closing if bracketed else ''}"
    if len(line) < _WIDTH:
        return line
    return "\n".join(
        [f"{head}{opening}", *(f"{' ' * (indent + 4)}{part}," for part in parts), f"{' ' * indent}{closing}"]
    )


def _class_name(name: str) -> str:
    camel = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))
    # The names that the file imports are taken.
    taken = ("Chat", "Program", "Sampling", "Split", "Path", "Any", "Literal", "DATA")
    usable = camel.isidentifier() and not keyword.iskeyword(camel) and camel not in taken
    return camel if usable else f"Task{camel}"


def _reader(sketch: Sketch) -> str:
    return "read_rows" if sketch.converts else "read_examples"


def _reads(sketch: Sketch, how: str) -> bool:
    return any(field.reads == how for field in (*sketch.inputs, sketch.answer))


def _import_order(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
