"""Where a request shows its key. The usual one costs a look into a dictionary.

What the database says of a key is taken for two seconds, then asked again: while one request asks, others go
on with the former answer a little longer, never past four seconds. So a revocation holds within five seconds
in every worker, and a database that can't be asked closes the gate: at once, or, for keys that were let in
before, after as long as the operator wants.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from gateway.access.caller import Caller
from gateway.access.tokens import Token, read_token
from gateway.errors import Header, KeyRefused, StoreUnavailable

if TYPE_CHECKING:
    from gateway.access.key import Found, Kind
    from gateway.access.keyring import Keyring

_FRESH, _USABLE = 2.0, 4.0  # seconds after the database was asked
_PATIENCE = 3.0  # seconds that the database may take
_MOST_REMEMBERED = 10_000
_HOW = "send it as 'Authorization: Bearer sf-...'"


@dataclass(slots=True)
class Answer:
    """What the database said of a token; `refusal` is why its holder is kept out.

    It is `unchecked` since the database could not be asked again.
    """

    caller: Caller | None
    refusal: str
    fresh_until: float
    usable_until: float
    held_until: float
    asking: bool = False
    unchecked: bool = False

    def holds(self, now: float) -> bool:
        until = self.held_until if self.unchecked else self.usable_until
        return now < self.fresh_until or (self.asking and now < until)


class Gate:
    """Lets requests in by their key, if there are keys at all: `open` looks whether there are.

    For `hold` seconds after it was last found, a key is let in though the database can't be asked.
    `unchecked` is told of each request whose key can't be checked, whether it was "served" or "refused".
    """

    def __init__(
        self,
        keyring: Keyring,
        kind: Kind = "client",
        now: Callable[[], float] = monotonic,
        *,
        hold: float = 0.0,
        unchecked: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.keyring = keyring
        self._hold = hold
        self._unchecked = unchecked
        self._kind = kind
        self._now = now
        self._closed = True
        self._answers: dict[bytes, Answer] = {}

    async def open(self) -> None:
        """Without any key everybody is let in. Raises StartFailed when the keys can't be checked."""
        self._closed = await self.keyring.open() or self._kind == "admin"

    async def admit(self, headers: Sequence[Header]) -> Caller | None:
        """Who asks; None where nobody needs a key. Raises KeyRefused and StoreUnavailable."""
        if not self._closed:
            return None
        sent = _sent(headers)
        # Of the whole header, so that it is read only when it is new; what is remembered holds no key.
        digest = hashlib.sha256(sent).digest()
        answer, now = self._answers.get(digest), self._now()
        if answer is None or not answer.holds(now):
            answer = await self._asked(_token(sent), digest, answer)
        if answer.unchecked:
            self._unchecked("served")
        if answer.caller is None:
            raise KeyRefused(answer.refusal)
        return answer.caller

    async def _asked(self, token: Token, digest: bytes, former: Answer | None) -> Answer:
        """What the database says now, or said, where it may be held to that. Raises StoreUnavailable."""
        try:
            return await self._ask(token, digest, former)
        except StoreUnavailable:
            if former is None or former.caller is None or self._now() >= former.held_until:
                self._unchecked("refused")
                raise
            former.unchecked = True
            return former

    async def _ask(self, token: Token, digest: bytes, former: Answer | None) -> Answer:
        if former is not None:
            former.asking = True
        asked = self._now()
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await self.keyring.find(token)
        except TimeoutError as error:
            raise StoreUnavailable("The gateway's database takes too long to say who this is.") from error
        finally:
            if former is not None:
                former.asking = False
        if len(self._answers) >= _MOST_REMEMBERED:
            self._answers.clear()
        answer = self._answers[digest] = self._answer(found, asked)
        return answer

    def _answer(self, found: Found | None, asked: float) -> Answer:
        now, fresh, usable, held = time.time(), asked + _FRESH, asked + _USABLE, asked + self._hold
        if found is not None and found.until is not None and found.until > now:
            ends = asked + found.until - now
            fresh, usable, held = min(fresh, ends), min(usable, ends), min(held, ends)
        refusal = _refusal(found, self._kind, now)
        caller = found.key.caller() if found is not None and not refusal else None
        return Answer(caller, refusal, fresh, usable, held)


def _refusal(found: Found | None, kind: Kind, now: float) -> str:
    """Why the holder of a token is kept out; empty where nothing keeps them."""
    if found is None:
        return "This API key is not known here, or another has taken its place."
    match found.key.state(now):
        case "revoked":
            return "This API key was revoked."
        case "expired":
            return "This API key has expired."
    if found.key.wanted.kind == kind:
        return ""
    if kind == "admin":
        return "Only an admin's key is good for this: gateway keys create NAME --admin"
    return "An admin's key asks no models; a client's does: gateway keys create NAME"


def _sent(headers: Sequence[Header]) -> bytes:
    """The header that a key belongs in."""
    for name, value in headers:
        if name == b"authorization":
            return value
    raise KeyRefused(f"This gateway asks for an API key: {_HOW}.")


def _token(sent: bytes) -> Token:
    """The key in its header. Raises KeyRefused for what can be none, without asking the database."""
    scheme, _, text = sent.partition(b" ")
    if scheme.lower() != b"bearer":
        raise KeyRefused(f"The API key has to come as a bearer: {_HOW}.")
    token = read_token(text.strip())
    if token is None:
        raise KeyRefused("What was sent as API key is none of this gateway: they begin with 'sf-'.")
    return token
