"""`POST /v1/feedback`: whoever asked says what the answer was worth, or what it should have been."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from gateway.access.admission import Admitted
from gateway.access.caller import Caller
from gateway.catalog import Catalog
from gateway.disconnect import ClientGone
from gateway.errors import ResponseUnknown
from gateway.exchange import CLIENT_CLOSED_REQUEST, read_body
from gateway.listing import as_json
from gateway.traffic.feedback import Feedback, as_outputs, read_feedback
from gateway.traffic.log import TrafficLog
from gateway.traffic.store import Answered, Said
from programs.json_values import write_json
from programs.plan import Field

if TYPE_CHECKING:
    from gateway.limits.allowance import Allowance

_LOOK = 0.1  # seconds between two looks for what another worker has still to write


def feedback_router(desk: FeedbackDesk, largest: int, allowance: Allowance | None = None) -> APIRouter:
    """`largest` is how many bytes a body may have; `allowance` says how often a key may speak."""
    router = APIRouter()

    @router.post("/v1/feedback", summary="Say what an answer was worth, or what it should have been")
    async def feedback(request: Request, caller: Admitted) -> Response:
        if allowance is not None:
            await allowance.reserve_feedback(caller)
        try:
            data = await read_body(request.receive, largest)
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        given = read_feedback(data)
        replaced = await desk.take(given, caller)
        told = {"object": "feedback", "response_id": given.response_id, "kind": given.kind}
        return as_json({**told, "replaced": replaced})

    return router


@dataclass(frozen=True)
class FeedbackDesk:
    """Takes feedback on what is in the traffic log.

    `patience` is for how many seconds a response may be on its way into the log from another worker.
    """

    log: TrafficLog
    catalog: Catalog
    patience: float = 0.0

    async def take(self, given: Feedback, caller: Caller | None) -> bool:
        """Keeps it; gives whether something was said before.

        Raises:
            ResponseUnknown: there is no such response, or another asked for it.
            RequestInvalid: a correction is not of the types of what was answered.
            StoreUnavailable: the database can't be asked.
        """
        found = await self._find(given.response_id)
        if found is None or found.key_id != (None if caller is None else caller.id):
            # The same words for both: what others asked is nobody's business.
            raise ResponseUnknown(
                f"No response {given.response_id!r} of yours is in the traffic log; it holds what was asked "
                "with a key that agreed to it, until that is too old."
            )
        replaced = await self.log.store.say(await asyncio.to_thread(self._said, given, found))
        if not replaced:
            self._count(given, found)
        return replaced

    async def _find(self, response_id: str) -> Answered | None:
        store, ends = self.log.store, monotonic() + self.patience
        found = await store.find(response_id)
        if found is None:
            await self.log.writer.flush()
            found = await store.find(response_id)
        while found is None and monotonic() < ends:
            await asyncio.sleep(_LOOK)
            found = await store.find(response_id)
        return found

    def _said(self, given: Feedback, found: Answered) -> Said:
        """What is kept of it: like a request it is redacted before it is written. Raises RequestInvalid."""
        redaction, value = self.log.redaction, given.value
        if given.kind == "label":
            value = redaction.of_text(value)
        elif given.kind == "correction":
            value = redaction.of(as_outputs(value, found.answer, self._outputs(found.release)))
        comment = None if given.comment is None else write_json(redaction.of_text(given.comment)).decode()
        return Said(given.response_id, given.kind, write_json(value).decode(), comment, found.key_id)

    def _outputs(self, release: str) -> Sequence[Field] | None:
        served = self.catalog.models.get(release)
        runnable = None if served is None else served.loaded.runnable
        return None if runnable is None else runnable.executor.outputs

    def _count(self, given: Feedback, found: Answered) -> None:
        """Each kind once for a response: counters can't take back what is replaced."""
        labels = (found.program, found.release.partition("@")[2])
        self.log.metrics.feedback.labels(*labels, given.kind).inc()
        if given.kind == "score":
            self.log.metrics.score.labels(*labels).inc(given.value)
