"""Turns of a chat as the programs' own adapter renders them, from pieces rendered once.

Rendering through DSPy takes milliseconds a chat; training needs hundreds of chats a second. The adapter
renders each kind of turn once with stand-ins for the values, and `Prompts` fills them in: byte for byte the
same text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from programs.adapter import ProgramAdapter

if TYPE_CHECKING:
    import dspy

# A character of the private use area, which no value contains.
_MARK = "\ue000"


@dataclass(frozen=True)
class Turn:
    role: str
    content: str
    learned: bool = False
    """Whether the student is trained to write this turn."""


class Prompts:
    """The turns of one predictor: the program's only one, or that of the given name."""

    def __init__(self, module: dspy.Module, name: str | None = None) -> None:
        predictors = dict(module.named_predictors())
        (only,) = [name] if name else predictors
        signature: Any = predictors[only].signature
        self._adapter, self._signature = ProgramAdapter(), signature
        self._kept: dict[tuple[str, ...], str] = {}

    def system(self, instruction: str) -> Turn:
        if ("system", instruction) not in self._kept:
            signature = self._signature.with_instructions(instruction)
            self._kept["system", instruction] = self._adapter.format_system_message(signature)
        return Turn("system", self._kept["system", instruction])

    def turn(
        self, inputs: dict[str, str], outputs: dict[str, str], asked: bool = False, learned: bool = True
    ) -> list[Turn]:
        """A complete demonstration, an earlier turn of a talk, or (`asked`) the request with its reply."""
        # A turn of the history carries the reminder too, like the request itself.
        whole = all(name in inputs for name in self._signature.input_fields if name != "history")
        reminded = asked or not whole
        user = self._fill(("user", *inputs, "reminded" if reminded else "shown"), inputs)
        reply = self._fill(("assistant", *outputs), outputs)
        return [Turn("user", user), Turn("assistant", reply, learned)]

    def incomplete(
        self, inputs: dict[str, str], outputs: dict[str, str], learned: bool = False
    ) -> list[Turn]:
        """A demonstration that lacks some inputs or outputs."""
        user = self._fill(("partial", *inputs), inputs)
        return [Turn("user", user), Turn("assistant", self._fill(("lacking", *outputs), outputs), learned)]

    def _fill(self, key: tuple[str, ...], values: dict[str, str]) -> str:
        if key not in self._kept:
            self._kept[key] = self._render(
                key[0], {name: f"{_MARK}{name}{_MARK}" for name in values}, key[-1]
            )
        text = self._kept[key]
        for name, value in values.items():
            text = text.replace(f"{_MARK}{name}{_MARK}", value)
        return text

    def _render(self, kind: str, values: dict[str, str], last: str) -> str:
        adapter, signature = self._adapter, self._signature
        if "history" in signature.fields:
            signature = signature.delete("history")
        if kind == "user":
            text = adapter.format_user_message_content(signature, values, main_request=last == "reminded")
        elif kind == "assistant":
            # An earlier turn may lack the reasoning, which a chat does not bring.
            for name in signature.output_fields:
                signature = signature if name in values else signature.delete(name)
            text = adapter.format_assistant_message_content(signature, values)
        else:
            last_output = [*signature.output_fields][-1]
            lacking = [] if kind == "partial" else signature.input_fields
            given = {**dict.fromkeys([*lacking, last_output], _MARK), **values}
            user, assistant = adapter.format_demos(signature, [given])
            text = user["content"] if kind == "partial" else assistant["content"]
        return str(text)
