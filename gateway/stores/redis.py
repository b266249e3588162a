"""A Redis or Valkey that several workers and gateways share; the library is imported where one is configured.

Who asks it decides what its being gone means. A client is for one event loop and connects when it is first
asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import StartFailed

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SECONDS = 2.0  # for a connection, and for each answer: a Redis that is slower than that is of no use here
_CONNECTIONS = 32


def open_redis(url: str) -> Redis:
    """A client of the Redis at this address, to be closed with `aclose`.

    A connection that turns out to be broken is made once more, because a server that was started again leaves
    a pool full of them; what takes too long is not asked twice. Raises StartFailed without the library.
    """
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Broken
    except ImportError as error:
        raise StartFailed(
            "gateway.redis needs the library of Redis: pip install 'smallforge[stores]'."
        ) from error
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_SECONDS,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),
        client_name="smallforge",
    )
    return Redis.from_pool(pool)
