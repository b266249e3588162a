"""What a key looks like, and how it is recognised without being kept.

`sf-<id>-<secret>`: the id is public and finds the key; the secret is 256 random bits. The database holds only
digests under a pepper that it does not have, so whoever reads the database can neither use nor guess a key.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import NamedTuple

_FORM = re.compile(rb"sf-([0-9a-f]{12})-[A-Za-z0-9_-]{43}")


class Token(NamedTuple):
    """A key's id, and the whole that its holder sends."""

    id: str
    text: str


def new_token(id: str | None = None) -> Token:
    """A fresh key; with the `id` of one that it replaces."""
    id = id or secrets.token_hex(6)
    return Token(id, f"sf-{id}-{secrets.token_urlsafe(32)}")


def read_token(sent: bytes) -> Token | None:
    """What a client sent, if it has the form of a key."""
    found = _FORM.fullmatch(sent)
    return Token(found[1].decode(), sent.decode()) if found else None


def digest_of(token: Token, pepper: bytes) -> str:
    return hmac.new(pepper, token.text.encode(), "sha256").hexdigest()


def is_digest_of(token: Token, digest: str | None, pepper: bytes) -> bool:
    """Takes the same time whatever the digest is, and if there is none."""
    return hmac.compare_digest(digest_of(token, pepper), digest or "")
