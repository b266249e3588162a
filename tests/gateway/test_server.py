"""Tests for gateway/server.py: a server that goes, as its clients see it on connections that they keep."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from gateway.routes import Readiness
from gateway.server import bind, serve


class Client:
    """Keeps its connection, and sends without looking whether it is still there."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, path: str) -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())

    async def head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self, end: bytes) -> None:
        await self._reader.readuntil(end)

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""

    def leave(self) -> None:
        self._writer.close()


class Going:
    """A server in this process that another relieves."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.app.state.readiness = Readiness()
        self.on = asyncio.Event()
        self.app.get("/")(self.answer)
        self.app.get("/slow")(self.answer_slowly)
        self._listener = bind("127.0.0.1", 0)
        self._port = self._listener.getsockname()[1]

    async def answer(self) -> Response:
        return Response(b"ok")

    async def answer_slowly(self) -> StreamingResponse:
        return StreamingResponse(self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        yield b"o"
        await self.on.wait()
        yield b"k"

    async def client(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self._port))

    async def is_relieved(self) -> None:
        """Returns once it takes no new connections."""
        os.kill(os.getpid(), signal.SIGHUP)
        while True:
            try:
                (await self.client()).leave()
            except ConnectionError:
                return
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        started = asyncio.Event()
        server = serve(self.app, self._listener, started=started.set, relieved_by=signal.SIGHUP)
        task = asyncio.create_task(server)
        await started.wait()
        yield
        await asyncio.wait_for(task, 10)


async def test_a_relieved_server_answers_once_more_on_each_connection_and_stays_ready() -> None:
    going = Going()
    async with going.serving():
        kept, unused = await going.client(), await going.client()
        kept.send("/")
        assert b"connection" not in await kept.head()
        await kept.rest(b"ok")
        await going.is_relieved()
        assert not going.app.state.readiness.draining
        for client in (kept, unused):
            client.send("/")
            assert b"connection: close" in await client.head()
            await client.rest(b"ok")
            assert await client.is_closed()
            client.leave()


async def test_after_an_answer_that_could_not_say_that_it_is_the_last_another_is_given() -> None:
    going = Going()
    async with going.serving():
        client = await going.client()
        client.send("/slow")
        assert b"connection" not in await client.head()
        await going.is_relieved()
        going.on.set()
        await client.rest(b"0\r\n\r\n")
        client.send("/")
        assert b"connection: close" in await client.head()
        await client.rest(b"ok")
        client.leave()
