"""One request from its coming to its end, and who is told when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.access.caller import Caller
from gateway.errors import GatewayError, Header

if TYPE_CHECKING:
    from gateway.errand import Errand


@dataclass(slots=True)
class Visit:
    """What is known of a request so far. `started` is perf_counter's time, `seconds` its whole duration.

    `caller` is None on a gateway without keys, `errand` until the request was understood.
    """

    path: str
    headers: Sequence[Header]
    started: float
    caller: Caller | None = None
    errand: Errand | None = None
    error: GatewayError | None = None
    status: int = 500
    seconds: float = 0.0


class Observer(Protocol):
    """Is told of every request once, when it is over, however it ended: 499 is a client that left.

    The next request waits for it, so it neither blocks nor raises; what takes time it leaves to a task.
    """

    def finished(self, visit: Visit) -> None: ...
