"""A response as typed events: items open with their first text and are closed in the order of their opening.

Every event has a number, and every item the place at which the last event's response has it.
"""

from __future__ import annotations

from typing import Any

from gateway.completion import Call
from gateway.errors import GatewayError
from gateway.responses import Item, ResponseObject, item_id, message_item, reasoning_item, text_part
from gateway.streaming import Place, Text
from gateway.tool_calls import MadeCall, call_item, calls_made
from programs.execution import Outcome
from programs.json_values import write_json


class Growing:
    """An item whose text is still coming."""

    def __init__(self, place: Place, id: str, index: int) -> None:
        self.place = place
        self.id = id
        self.index = index
        self.open = True
        self.texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.texts)


class ResponseEvents:
    """Writes one stream's events."""

    def __init__(self, call: Call, response: ResponseObject) -> None:
        self._call = call
        self._response = response
        self._items: list[Growing] = []
        self._called: list[Item] = []
        self._outcome: Outcome | None = None
        self._number = -1

    def openings(self) -> bytes:
        begun = self._response.begun()
        return self._event("created", response=begun) + self._event("in_progress", response=begun)

    def piece(self, choice: int, piece: Text | Outcome) -> bytes:
        if isinstance(piece, Text):
            return self._grow(piece)
        self._outcome = piece
        calls = calls_made(self._call.runnable.tools, piece)
        answered = calls or any(item.place == "content" for item in self._items)
        events = [] if answered else [self._open("content")]
        events += [self._close(item) for item in self._items if item.open]
        return b"".join([*events, *(self._called_tool(made) for made in calls)])

    def end(self) -> bytes:
        assert self._outcome is not None, "a run ends with its outcome"
        output = [*(self._whole(item) for item in self._items), *self._called]
        response = self._response.ended(self._outcome, output)
        return self._event(response["status"], response=response)

    def failed(self, error: GatewayError) -> bytes:
        # A failed response has one of OpenAI's few codes; ours goes ahead of it.
        told = {"code": error.code, "message": error.message, "param": error.param}
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        response = self._response.failed(code, error.message)
        return self._write("error", told) + self._event("failed", response=response)

    def _grow(self, piece: Text) -> bytes:
        item = next((it for it in self._items if it.open and it.place == piece.place), None)
        events = self._open(piece.place) if item is None else b""
        item = item or self._items[-1]
        item.texts.append(piece.text)
        if item.place == "reasoning":
            return events + self._of("reasoning_summary_text.delta", item, summary_index=0, delta=piece.text)
        return events + self._of("output_text.delta", item, content_index=0, delta=piece.text, logprobs=[])

    def _open(self, place: Place) -> bytes:
        number = sum(item.place == place for item in self._items)
        item = Growing(
            place, item_id("rs" if place == "reasoning" else "msg", self._call, number), len(self._items)
        )
        # The answer ends the reasoning before it; what is reasoned after the answer is an item of its own.
        closing = [self._close(it) for it in self._items if it.open and it.place == "reasoning"]
        self._items.append(item)
        empty: Item = {"id": item.id, "status": "in_progress"}
        if place == "reasoning":
            opened = self._of("output_item.added", item, item={**empty, "type": "reasoning", "summary": []})
            part = {"type": "summary_text", "text": ""}
            added = self._of("reasoning_summary_part.added", item, summary_index=0, part=part)
        else:
            message = {**empty, "type": "message", "role": "assistant", "content": []}
            opened = self._of("output_item.added", item, item=message)
            added = self._of("content_part.added", item, content_index=0, part=text_part(""))
        return b"".join([*closing, opened, added])

    def _close(self, item: Growing) -> bytes:
        item.open = False
        text = item.text
        if item.place == "reasoning":
            part = {"type": "summary_text", "text": text}
            done = self._of("reasoning_summary_text.done", item, summary_index=0, text=text)
            done += self._of("reasoning_summary_part.done", item, summary_index=0, part=part)
        else:
            done = self._of("output_text.done", item, content_index=0, text=text, logprobs=[])
            done += self._of("content_part.done", item, content_index=0, part=text_part(text))
        return done + self._of("output_item.done", item, item=self._whole(item))

    def _called_tool(self, made: MadeCall) -> bytes:
        """A call comes when all of it is known: it was checked."""
        index, id = len(self._items) + len(self._called), item_id("fc", self._call, len(self._called))
        item = call_item(made, id)
        self._called.append(item)
        at = {"item_id": id, "output_index": index}
        begun = call_item(made, id, "in_progress")
        return b"".join(
            [
                self._event("output_item.added", output_index=index, item=begun),
                self._event("function_call_arguments.delta", **at, delta=made.arguments),
                self._event("function_call_arguments.done", **at, name=made.name, arguments=made.arguments),
                self._event("output_item.done", output_index=index, item=item),
            ]
        )

    def _whole(self, item: Growing) -> Item:
        if item.place == "reasoning":
            return reasoning_item(item.id, item.text)
        assert self._outcome is not None, "a message is whole when the run has ended"
        return message_item(item.id, item.text, self._outcome)

    def _of(self, kind: str, growing: Growing, /, **fields: Any) -> bytes:
        named = {} if "item" in fields else {"item_id": growing.id}
        return self._event(kind, **named, output_index=growing.index, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return self._write(f"response.{kind}", fields)

    def _write(self, kind: str, fields: dict[str, Any]) -> bytes:
        self._number += 1
        body = write_json({"type": kind, "sequence_number": self._number, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"
