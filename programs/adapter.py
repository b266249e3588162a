"""The reference for every prompt and every reply: a ChatAdapter that optimiser, scorer and proof share.

Differs from DSPy's own in four points: no second call in another format; past turns leave out the outputs
they do not have; demonstrations show their history as turns; markers in values are neutralised. Without
history and markers it renders byte for byte what stock ChatAdapter renders.
"""

from __future__ import annotations

from typing import Any

import dspy
from dspy.adapters.chat_adapter import ChatAdapter, field_header_pattern

from programs.plan import neutralise

_Messages = list[dict[str, Any]]


class ProgramAdapter(ChatAdapter):
    """ChatAdapter with honest history and unforgeable fields."""

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> _Messages:
        name = self._get_history_field_name(signature)
        asked = {k: _neutral(v) for k, v in inputs.items()}
        if name and asked.get(name) is None:
            asked[name] = dspy.History(messages=[])
        shown = [{k: _neutral(v) for k, v in dict(demo).items()} for demo in demos]
        messages: _Messages = super().format(signature, shown, asked)
        return messages

    def format_demos(self, signature: type[dspy.Signature], demos: list[dict[str, Any]]) -> _Messages:
        name = self._get_history_field_name(signature)
        if name is None:
            return list(super().format_demos(signature, demos))
        bare = signature.delete(name)
        complete = [demo for demo in demos if all(demo.get(k) is not None for k in bare.fields)]
        incomplete = [demo for demo in demos if demo not in complete]
        messages: _Messages = []
        for demo in [*incomplete, *complete]:
            shown = super().format_demos(bare, [demo])
            if shown and demo.get(name) is not None:
                messages += self.format_conversation_history(bare, name, dict(demo))
            messages += shown
        return messages

    def format_conversation_history(
        self, signature: type[dspy.Signature], history_field_name: str, inputs: dict[str, Any]
    ) -> _Messages:
        history = inputs.pop(history_field_name, None)
        messages: _Messages = []
        for turn in history.messages if history is not None else []:
            if any(name in turn for name in signature.input_fields):
                content = self.format_user_message_content(signature, turn, main_request=True)
                messages.append({"role": "user", "content": content})
            said = signature
            for name in signature.output_fields:
                if turn.get(name) is None:
                    said = said.delete(name)
            if said.output_fields:
                content = self.format_assistant_message_content(said, turn)
                messages.append({"role": "assistant", "content": content})
        return messages

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        # Stock parsing cuts an indented marker line at the wrong column.
        lines = (
            line.lstrip() if field_header_pattern.match(line.strip()) else line
            for line in completion.splitlines()
        )
        fields: dict[str, Any] = super().parse(signature, "\n".join(lines))
        return fields


def _neutral(value: Any) -> Any:
    if isinstance(value, dspy.History):
        return dspy.History(messages=[neutralise(dict(turn)) for turn in value.messages])
    return neutralise(value)
