"""Server-sent events, one `data:` payload at a time, from bytes cut anywhere.

Knows nothing of JSON or of models. Other fields of the format (`event:`, `id:`, comments) carry nothing here.
"""

from __future__ import annotations


class EventReader:
    """Feed it bytes as they arrive; it hands back the payloads that are complete."""

    def __init__(self) -> None:
        self._rest: list[
            bytes
        ] = []  # joined only once a line is whole, so that one without end takes no time

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, in order. OpenAI's streams put one event on one `data:` line."""
        if b"\n" not in data:
            self._rest.append(data)
            return []
        lines = b"".join([*self._rest, data]).split(b"\n")
        self._rest = [lines.pop()]
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def finish(self) -> list[bytes]:
        """The payload of a last line that no newline closed, if there is one."""
        return self.feed(b"\n")
