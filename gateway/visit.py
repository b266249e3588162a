"""One request from its coming to its end, and who is told when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.access.caller import Caller
from gateway.accounting.trace import StepTracer
from gateway.errors import GatewayError, Header
from gateway.logs import REQUEST

if TYPE_CHECKING:
    from gateway.errand import Errand
    from gateway.limits.allowance import Grant


TRACE = b"x-smallforge-trace"
SESSION = b"x-smallforge-session"
DEADLINE = b"x-smallforge-deadline-ms"
MAX_USD = b"x-smallforge-max-usd"
OWN = frozenset({TRACE, SESSION, DEADLINE, MAX_USD})
"""The headers that this gateway looks for in each request."""


@dataclass(slots=True)
class Visit:
    """What is known of a request so far. `started` is perf_counter's time, `seconds` its whole duration.

    `caller` is None on a gateway without keys, `errand` until the request was understood. `id` is what its
    reply calls it, empty until that is known.
    """

    path: str
    headers: Sequence[Header]
    started: float
    own: Sequence[Header] = ()
    """Those of the headers that are in `OWN`."""
    caller: Caller | None = None
    errand: Errand | None = None
    error: GatewayError | None = None
    status: int = 500
    seconds: float = 0.0
    id: str = ""
    grant: Grant | None = None
    """What it may use, where its key or its model is limited."""
    tracer: StepTracer | None = None
    """Who follows the calls of engines that are made for it, if anyone does."""

    def is_named(self, id: str) -> None:
        """From now on the log names this request by its id."""
        self.id = id
        REQUEST.set(id)


class Observer(Protocol):
    """Is told of every request once, when it is over, however it ended: 499 is a client that left.

    The next request waits for it, so it neither blocks nor raises; what takes time it leaves to a task.
    """

    def finished(self, visit: Visit) -> None: ...


class Follower(Observer, Protocol):
    """An observer that is told when a request comes, too, and may have its calls of engines told to it."""

    def begin(self, visit: Visit) -> None: ...
