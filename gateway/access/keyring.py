"""The keys of a gateway in its database: made, listed, rotated, revoked, and found by what a client sends.

Imports SQLAlchemy, so `gateway.access.opening` imports it where there may be keys.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from engine.settings_limits import LimitSettings
from gateway.access.key import Found, Issued, Key, Wanted
from gateway.access.pepper import Pepper, proof_of
from gateway.access.tokens import Token, digest_of, is_digest_of, new_token
from gateway.errors import KeyNameTaken, KeyUnknown, StartFailed
from gateway.stores.database import Database, Migrations

_MIGRATIONS = Migrations(
    "keys",
    [
        [
            "CREATE TABLE api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, "
            "digest TEXT NOT NULL, former_digest TEXT, former_until DOUBLE PRECISION, "
            "created DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION, revoked DOUBLE PRECISION, "
            "models TEXT NOT NULL, limits TEXT NOT NULL, traffic INTEGER NOT NULL)",
            "CREATE UNIQUE INDEX api_keys_by_name ON api_keys (name) WHERE revoked IS NULL",
            "CREATE TABLE api_keys_pepper (proof TEXT NOT NULL)",
        ]
    ],
)
_COLUMNS = (
    "id", "name", "kind", "digest", "former_digest", "former_until",
    "created", "expires", "revoked", "models", "limits", "traffic",
)  # fmt: skip
_keys = sa.table("api_keys", *map(sa.column, _COLUMNS))
_peppers = sa.table("api_keys_pepper", sa.column("proof"))


class Keyring:
    """The keys in one database. `open` comes first."""

    def __init__(self, database: Database, pepper: Pepper) -> None:
        self._database = database
        self._pepper = pepper
        self._secret = b""

    async def open(self, to_make_keys: bool = False) -> bool:
        """Whether there are keys, revoked and expired ones included; `to_make_keys` makes the pepper too.

        Raises StartFailed when the keys can't be checked: their database or their pepper is not there.
        """
        await self._database.migrate(_MIGRATIONS)
        async with self._database.reading() as connection:
            proof = await connection.scalar(sa.select(_peppers.c.proof))
        if proof is None and not to_make_keys:
            return False
        if proof is None:
            proof = await self._remember(self._pepper.read_or_make())
        self._secret = self._pepper.read()
        if proof_of(self._secret) != proof:
            raise StartFailed(
                f"The keys in {self._database.shown} were made under another pepper than "
                f"{self._pepper.told} holds, so none can be checked: bring that pepper back, or name a new "
                "gateway.database and make new keys."
            )
        async with self._database.reading() as connection:
            return await connection.scalar(sa.select(_keys.c.id).limit(1)) is not None

    async def create(self, wanted: Wanted) -> Issued:
        """Raises KeyNameTaken."""
        token, now = new_token(), time.time()
        row = {
            **asdict(wanted),
            "id": token.id,
            "digest": digest_of(token, self._secret),
            "created": now,
            "models": orjson.dumps(wanted.models).decode(),
            "limits": orjson.dumps(asdict(wanted.limits)).decode(),
            "traffic": int(wanted.traffic),
        }
        try:
            async with self._database.writing() as connection:
                await connection.execute(sa.insert(_keys).values(row))
        except IntegrityError as error:
            raise KeyNameTaken(
                f"There is a key {wanted.name!r} already: rotate it, revoke it, or choose another name.",
                param="name",
            ) from error
        return Issued(Key(token.id, wanted, now), token.text)

    async def all(self) -> list[Key]:
        """Every key there ever was, in the order in which they were made."""
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.select(_keys).order_by(_keys.c.created))
            return [_key(row._mapping) for row in rows]

    async def revoke(self, id_or_name: str) -> Key:
        """Raises KeyUnknown."""
        key = await self.get(id_or_name)
        return await self._change(key.id, {"revoked": time.time()})

    async def rotate(self, id_or_name: str, grace: float) -> Issued:
        """A new secret for a key; the one before holds for `grace` seconds more. Raises KeyUnknown."""
        key = await self.get(id_or_name)
        token = new_token(key.id)
        changes = {
            "former_digest": _keys.c.digest,
            "former_until": time.time() + grace,
            "digest": digest_of(token, self._secret),
        }
        return Issued(await self._change(key.id, changes), token.text)

    async def get(self, id_or_name: str) -> Key:
        """One key that was not revoked. Raises KeyUnknown."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(_keys).where(_is(id_or_name)))).first()
        if row is None:
            raise KeyUnknown(f"No key {id_or_name!r} that could be used; `gateway keys list` shows them.")
        return _key(row._mapping)

    async def find(self, token: Token) -> Found | None:
        """The key behind a token, whatever its state; None where nobody was given that token."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(_keys).where(_keys.c.id == token.id))).first()
        digest, former = (row.digest, row.former_digest) if row is not None else (None, None)
        current = is_digest_of(token, digest, self._secret)
        replaced = is_digest_of(token, former, self._secret)
        if row is None or not (current or (replaced and row.former_until > time.time())):
            return None
        key = _key(row._mapping)
        ends = (key.wanted.expires, None if current else key.former_until)
        return Found(key, min((end for end in ends if end is not None), default=None))

    async def _remember(self, pepper: bytes) -> str:
        """Writes down how to know the pepper again; of two that do so at once, the first is right."""
        async with self._database.writing() as connection:
            proof: str | None = await connection.scalar(sa.select(_peppers.c.proof))
            if proof is None:
                proof = proof_of(pepper)
                await connection.execute(sa.insert(_peppers).values(proof=proof))
        return proof

    async def _change(self, id: str, changes: Mapping[str, Any]) -> Key:
        async with self._database.writing() as connection:
            await connection.execute(sa.update(_keys).where(_keys.c.id == id).values(changes))
            row = (await connection.execute(sa.select(_keys).where(_keys.c.id == id))).one()
        return _key(row._mapping)


def _is(id_or_name: str) -> sa.ColumnElement[bool]:
    named = sa.or_(_keys.c.id == id_or_name, _keys.c.name == id_or_name)
    return sa.and_(named, _keys.c.revoked.is_(None))


def _key(row: Mapping[Any, Any]) -> Key:
    wanted = Wanted(
        name=row["name"],
        kind=row["kind"],
        models=tuple(orjson.loads(row["models"])),
        limits=LimitSettings(**orjson.loads(row["limits"])),
        traffic=bool(row["traffic"]),
        expires=row["expires"],
    )
    return Key(row["id"], wanted, row["created"], row["revoked"], row["former_until"])
