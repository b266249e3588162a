"""`POST /v1/feedback`: whoever asked says what the answer was worth, or what it should have been."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.catalog import Catalog
from gateway.disconnect import ClientGone
from gateway.errors import Header, ResponseUnknown
from gateway.exchange import CLIENT_CLOSED_REQUEST, read_body
from gateway.listing import as_json
from gateway.traffic.feedback import Feedback, as_outputs, read_feedback
from gateway.traffic.log import TrafficLog
from gateway.traffic.store import Answered, Said
from programs.json_values import write_json
from programs.plan import Field

PATH = "/v1/feedback"
Admit = Callable[[Sequence[Header]], Awaitable[Caller | None]]
_LOOK = 0.1  # seconds between two looks for what another worker has still to write


class FeedbackDesk:
    """Takes feedback on what is in the traffic log.

    `patience` is for how many seconds a response may be on its way into the log from another worker.
    """

    def __init__(
        self, log: TrafficLog, catalog: Catalog, admit: Admit, largest: int, patience: float = 0.0
    ) -> None:
        self._log = log
        self._catalog = catalog
        self._admit = admit
        self._largest = largest
        self._patience = patience

    async def __call__(self, request: Request) -> Response:
        caller = await self._admit(request.scope["headers"])
        try:
            data = await read_body(request.receive, self._largest)
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        given = read_feedback(data)
        key_id = None if caller is None else caller.id
        found = await self._find(given.response_id)
        if found is None or found.key_id != key_id:
            # The same words for both: what others asked is nobody's business.
            raise ResponseUnknown(
                f"No response {given.response_id!r} of yours is in the traffic log; it holds what was asked "
                "with a key that agreed to it, until that is too old."
            )
        said = await asyncio.to_thread(self._said, given, found)
        replaced = await self._log.store.say(said)
        if not replaced:
            self._count(given, found)
        told = {"object": "feedback", "response_id": given.response_id, "kind": given.kind}
        return as_json({**told, "replaced": replaced})

    async def _find(self, response_id: str) -> Answered | None:
        store, ends = self._log.store, monotonic() + self._patience
        found = await store.find(response_id)
        if found is None:
            await self._log.writer.flush()
            found = await store.find(response_id)
        while found is None and monotonic() < ends:
            await asyncio.sleep(_LOOK)
            found = await store.find(response_id)
        return found

    def _said(self, given: Feedback, found: Answered) -> Said:
        """What is kept of it: like a request it is redacted before it is written. Raises RequestInvalid."""
        redaction, value = self._log.redaction, given.value
        if given.kind == "correction":
            value = redaction.of(as_outputs(value, found.answer, self._outputs(found.release)))
        comment = None if given.comment is None else redaction.of_text(given.comment)
        return Said(given.response_id, given.kind, write_json(value).decode(), comment, found.key_id)

    def _outputs(self, release: str) -> Sequence[Field] | None:
        served = self._catalog.models.get(release)
        runnable = None if served is None else served.loaded.runnable
        return None if runnable is None else runnable.executor.outputs

    def _count(self, given: Feedback, found: Answered) -> None:
        """Each kind once for a response: counters can't take back what is replaced."""
        labels = (found.program, found.release.partition("@")[2])
        self._log.metrics.feedback.labels(*labels, given.kind).inc()
        if given.kind == "score":
            self._log.metrics.score.labels(*labels).inc(given.value)
