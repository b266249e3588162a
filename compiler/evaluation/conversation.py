"""A conversation with a release: each text becomes its inputs as the gateway makes them of a chat.

Knows nothing of how it is shown. A turn that fails leaves no trace in the turns that follow.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.charge import Charge
from programs.errors import InputInvalid, ReplyUnparseable
from programs.execution import Delta, Executor, Model, Outcome, Reply, Usage
from programs.plan import Field
from programs.reader import FieldDelta, parse_value
from programs.verses import verse_adder

_NO_PARAMS: Mapping[str, object] = {}


@dataclass(frozen=True)
class Took:
    """What a turn took; None is unknown."""

    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None


class Meter:
    """A model that counts what one turn takes of it."""

    def __init__(self, model: Model, charge: Charge) -> None:
        self._model, self._charge = model, charge
        self._counted: list[tuple[int, int] | None] = []
        self._usd: list[float | None] = []

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        bill = self._charge.open()
        usage = None
        try:
            reply = await self._model.complete(messages, params)
            usage = reply.usage
        finally:
            bill.close()
            self._add(usage, bill.usd(usage))
        return reply

    async def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        bill = self._charge.open()
        usage = None
        try:
            async with aclosing(self._model.stream(messages, params)) as deltas:
                async for delta in deltas:
                    usage = delta.usage or usage
                    yield delta
        finally:
            bill.close()
            self._add(usage, bill.usd(usage))

    def _add(self, usage: Usage | None, usd: float | None) -> None:
        self._counted.append(None if usage is None else (usage.prompt_tokens, usage.completion_tokens))
        self._usd.append(usd)

    def took(self) -> Took:
        counted = [pair for pair in self._counted if pair is not None]
        usd = [amount for amount in self._usd if amount is not None]
        whole, paid = len(counted) == len(self._counted), len(usd) == len(self._usd)
        return Took(
            calls=len(self._counted),
            prompt_tokens=sum(prompt for prompt, _ in counted) if whole else None,
            completion_tokens=sum(said for _, said in counted) if whole else None,
            usd=sum(usd) if paid else None,
        )


class Conversation:
    """What was said so far, and how a release takes it."""

    def __init__(
        self, program: str, executor: Executor, system: str | None = None, tables: Path | None = None
    ) -> None:
        self.program = program
        self._executor = executor
        self._fields = {field.name: field for field in executor.inputs}
        self._system = system
        self._add_verses = verse_adder(executor.chat, tables)
        self._turns: list[dict[str, Any]] = []
        self._needed = [
            field
            for field in executor.inputs
            if field.required and field.name != executor.chat.history and field.type not in ("tools", "tool")
        ]

    @property
    def answer(self) -> str:
        """The output that is the answer."""
        return self._executor.chat.answer

    @property
    def ignored(self) -> str | None:
        """What of this conversation the program does not take, as a sentence."""
        chat = self._executor.chat
        if self._system is not None and chat.system is None:
            return f"{self.program} takes no system text: --system is ignored."
        return None if chat.history else f"{self.program} takes no earlier turns: each text stands alone."

    def reset(self) -> None:
        self._turns.clear()

    def describe_inputs(self) -> Iterator[str]:
        """How to give each input."""
        chat = self._executor.chat
        origin = {chat.user: "the text you type"}
        if chat.system is not None:
            origin[chat.system] = "--system"
        if chat.history is not None:
            origin[chat.history] = "the earlier turns, until /reset"
        origin |= {name: "none here" for name, field in self._fields.items() if field.type == "tools"}
        for name, field in self._fields.items():
            kind = " or ".join(map(repr, field.choices)) or field.type
            optional = "" if field.required or name == chat.history else ", optional"
            yield f"{name} ({kind}{optional}): {origin.get(name, 'in a line of JSON')}"
        if len(self._texts()) > 1:
            shown = json.dumps({field.name: "..." for field in self._needed})
            yield f"All at once, as a line of JSON: {shown}"

    async def ask(self, text: str, meter: Meter) -> AsyncGenerator[FieldDelta | Outcome]:
        """The answer as it arrives, then the outcome.

        Raises:
            InputInvalid: the text is no value of its input, or an input is missing.
            ReplyUnparseable, CheckFailed, EngineError: the answer failed.
        """
        values = self._inputs(text)
        outcome: Outcome | None = None
        async with aclosing(self._executor.stream(values, meter, _NO_PARAMS)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Outcome):
                    outcome = piece
                yield piece
        chat = self._executor.chat
        if outcome is not None and chat.history is not None:
            asked = {chat.user: values[chat.user]} if chat.user in values else {}
            said = outcome.outputs.get(chat.answer)
            self._turns.append({**asked, **({} if said is None else {chat.answer: str(said)})})

    def _inputs(self, text: str) -> dict[str, Any]:
        chat = self._executor.chat
        values = self._from_json(text)
        if values is None:
            values = {chat.user: self._parsed(self._fields.get(chat.user, Field(chat.user)), text)}
            if self._system is not None and chat.system is not None:
                values[chat.system] = self._system
            if chat.history is not None and self._turns:
                values[chat.history] = list(self._turns)
        values = self._add_verses(values)
        for field in self._needed:
            value = values.get(field.name)
            if value is None or (isinstance(value, str) and not value.strip()):
                state = "missing" if value is None else "empty"
                raise InputInvalid(
                    field.name, f"input {field.name!r} is {state}; /inputs says how to give it"
                )
        return values

    def _from_json(self, text: str) -> dict[str, Any] | None:
        """Inputs written as one JSON object, for programs with several required texts."""
        if len(self._texts()) < 2 or not text.lstrip().startswith("{"):
            return None
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return None
        needed = {field.name for field in self._needed}
        return values if self._fields.keys() >= values.keys() >= needed else None

    def _texts(self) -> list[Field]:
        return [field for field in self._needed if field.type == "str"]

    def _parsed(self, field: Field, text: str) -> Any:
        try:
            return parse_value(field, text)
        except ReplyUnparseable as error:
            kind = " or ".join(map(repr, field.choices)) or field.type
            raise InputInvalid(
                field.name, f"what you type is the input {field.name!r}, which must be {kind}"
            ) from error
