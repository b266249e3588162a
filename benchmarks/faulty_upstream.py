"""A model that does what the question says, well or badly, and knows how many requests it works on.

`fault=NAME` picks one of `FAULTS`; `wait_ms=2000` is silence before the reply, `tokens=50 step_ms=20` how it
is streamed; for `say=HEX` it answers with just those bytes. GET /running tells the requests that are being
worked on; whoever leaves is none from then on. A process of its own, on bare sockets, because most faults are
none of HTTP:

    python -m benchmarks.faulty_upstream PORT
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import uvloop

REPLY = "[[ ## reasoning ## ]]\nTold.\n\n[[ ## answer ## ]]\n%s\n\n[[ ## completed ## ]]\n"
_ORDERS = {
    name: re.compile(rf"{name}=(\w+)".encode())
    for name in ("fault", "wait_ms", "tokens", "step_ms", "echo", "say")
}
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_FOREVER = 3600.0
_DRAIN_SECONDS = 5.0


class Request(NamedTuple):
    line: bytes
    body: bytes

    def order(self, name: str, otherwise: str = "") -> str:
        found = _ORDERS[name].search(self.body)
        return found[1].decode() if found else otherwise

    @property
    def streams(self) -> bool:
        return b'"stream":true' in self.body


class Reader(asyncio.StreamReader):
    """What comes on a connection. Whoever is at work for its other end stops when that is gone."""

    def __init__(self) -> None:
        super().__init__(limit=2**22)
        self.at_work: asyncio.Task[None] | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._stop()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._stop()

    def _stop(self) -> None:
        if self.at_work is not None:
            self.at_work.cancel()


@dataclass
class Client:
    """The other end of one connection."""

    reader: Reader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: bytes, status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        await self.say(head.encode() + body)

    async def begin_stream(self) -> None:
        await self.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    async def event(self, data: bytes) -> None:
        line = b"data: %b\n\n" % data
        await self.say(b"%x\r\n%b\r\n" % (len(line), line))

    def reset(self) -> None:
        """Breaks the connection instead of closing it."""
        held: socket.socket = self.writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


def completion(request: Request) -> bytes:
    return json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "tiny",
            "choices": [{"index": 0, "message": _message(request), "finish_reason": "stop"}],
            "usage": usage(request),
        }
    ).encode()


def usage(request: Request) -> dict[str, int]:
    """What tells this model from another: each character is a token, and each message has four more."""
    messages = json.loads(request.body or b"{}").get("messages", [])
    prompt = sum(len(message["content"]) + 4 for message in messages)
    return {"prompt_tokens": prompt, "completion_tokens": 9, "total_tokens": prompt + 9}


def _message(request: Request) -> dict[str, str]:
    return {"role": "assistant", "content": REPLY % request.order("echo", "forty-two")}


def piece(text: str, finish: str | None = None) -> bytes:
    choice: dict[str, Any] = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"id": "c", "model": "tiny", "choices": [choice]}).encode()


async def well(client: Client, request: Request) -> None:
    """A whole reply, or a stream of as many tokens as were asked for."""
    await asyncio.sleep(int(request.order("wait_ms", "0")) / 1000)
    if said := request.order("say"):
        await client.say(bytes.fromhex(said))
        client.close()
        return
    if not request.streams:
        await client.reply(completion(request))
        return
    await client.begin_stream()
    async for text in _told(request):
        await client.event(piece(text))
    await client.event(piece("", "stop"))
    await client.event(json.dumps({"choices": [], "usage": usage(request)}).encode())
    await client.event(b"[DONE]")
    await client.say(b"0\r\n\r\n")


async def _told(request: Request) -> AsyncIterator[str]:
    before, after = (REPLY % "\0").split("\0")
    yield before
    yield request.order("echo")
    for number in range(int(request.order("tokens", "4"))):
        await asyncio.sleep(int(request.order("step_ms", "0")) / 1000)
        yield f" {number}"
    yield after


async def _midway(client: Client) -> None:
    """A stream of which the client has seen the beginning."""
    await client.begin_stream()
    await client.event(piece("[[ ## reasoning ## ]]\nTold."))
    await client.event(piece("\n\n[[ ## answer ## ]]\nforty"))
    await asyncio.sleep(0.2)


Answer = Callable[[Client, Request], Awaitable[None]]


def replying(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    async def answer(client: Client, request: Request) -> None:
        await client.reply(body, status, *headers)

    return answer


def erring(status: str, message: str, *headers: str) -> Answer:
    return replying(json.dumps({"error": {"message": message}}).encode(), status, *headers)


FAULTS: dict[str, Answer] = {
    "empty": replying(b""),
    "no_choices": replying(b'{"id": "c", "object": "chat.completion", "choices": []}'),
    "no_text": replying(b"\xff\xfe\xfd" * 20),
    "error_500": erring("500 Internal Server Error", "out of memory"),
    "error_503": replying(b"loading", "503 Service Unavailable"),
    "error_429": erring("429 Too Many Requests", "slow down", "Retry-After: 7"),
    "error_401": erring("401 Unauthorized", "who are you"),
    "error_404": erring("404 Not Found", "no such model"),
    "error_400": erring("400 Bad Request", "temperature must be positive"),
    "too_long": erring("400 Bad Request", "This model's maximum context length is 4096 tokens."),
    "elsewhere": replying(b"", "302 Found", "Location: http://127.0.0.1:9/v1/chat/completions"),
}


def fault(answer: Answer) -> Answer:
    FAULTS[answer.__name__] = answer
    return answer


@fault
async def reset(client: Client, request: Request) -> None:
    client.reset()


@fault
async def closed(client: Client, request: Request) -> None:
    client.close()


@fault
async def half_a_head(client: Client, request: Request) -> None:
    await client.say(b"HTTP/1.1 200 OK\r\nContent-Ty")
    client.close()


@fault
async def half_a_body(client: Client, request: Request) -> None:
    await client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + completion(request)[:40])
    client.close()


@fault
async def silence(client: Client, request: Request) -> None:
    await asyncio.sleep(_FOREVER)


@fault
async def head_only(client: Client, request: Request) -> None:
    await client.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n")
    await asyncio.sleep(_FOREVER)


@fault
async def trickle(client: Client, request: Request) -> None:
    await client.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n")
    while True:
        await client.say(b" ")
        await asyncio.sleep(0.1)


@fault
async def page(client: Client, request: Request) -> None:
    body = b"<html>It works!</html>"
    await client.say(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )


@fault
async def half_json(client: Client, request: Request) -> None:
    await client.reply(completion(request)[:40])


@fault
async def no_http(client: Client, request: Request) -> None:
    await client.say(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    client.close()


@fault
async def reset_midway(client: Client, request: Request) -> None:
    await _midway(client)
    client.reset()


@fault
async def half_a_frame(client: Client, request: Request) -> None:
    await _midway(client)
    await client.say(b'40\r\ndata: {"choices": [{"ind')
    client.close()


@fault
async def silence_midway(client: Client, request: Request) -> None:
    await _midway(client)
    await asyncio.sleep(_FOREVER)


@fault
async def error_midway(client: Client, request: Request) -> None:
    await _midway(client)
    await client.event(b'{"error": {"message": "out of memory", "code": 500}}')
    await client.say(b"0\r\n\r\n")


@fault
async def garbage_midway(client: Client, request: Request) -> None:
    await _midway(client)
    await client.event(b'{"choices": [{"index')
    await client.say(b"0\r\n\r\n")


@fault
async def no_end(client: Client, request: Request) -> None:
    """Ends without saying why, as a server does whose worker died."""
    await _midway(client)
    await client.say(b"0\r\n\r\n")


@fault
async def never_ending(client: Client, request: Request) -> None:
    await _midway(client)
    while True:
        await client.event(piece(" and"))
        await asyncio.sleep(0.05)


class Engine:
    """Counts what it works on."""

    def __init__(self) -> None:
        self.running = 0
        self._idle: set[asyncio.StreamWriter] = set()
        self._drains = False

    async def drain(self) -> None:
        """Until what it works on is answered; connections without work are closed."""
        self._drains = True
        for writer in self._idle:
            writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self.running:  # noqa: ASYNC110 -- twice in a benchmark's life
                    await asyncio.sleep(0.01)

    async def listen(self, port: int) -> asyncio.Server:
        def protocol() -> asyncio.StreamReaderProtocol:
            reader = Reader()
            return asyncio.StreamReaderProtocol(reader, partial(self.converse, reader))

        loop = asyncio.get_running_loop()
        return await loop.create_server(protocol, "127.0.0.1", port, backlog=256)

    async def converse(self, reader: Reader, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request after the other until the client leaves."""
        client = Client(reader, writer)
        try:
            while not self._drains and not writer.is_closing():
                self._idle.add(writer)
                request = await read_request(reader)
                self._idle.discard(writer)
                if request is None:
                    return
                reader.at_work = asyncio.current_task()
                await self._answer(client, request)
                reader.at_work = None
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            reader.at_work = None
            self._idle.discard(writer)
            writer.close()

    async def _answer(self, client: Client, request: Request) -> None:
        if b" /running " in request.line:
            await client.reply(json.dumps({"running": self.running}).encode())
        elif b" /v1/models " in request.line:
            await client.reply(b'{"object": "list", "data": [{"id": "tiny", "object": "model"}]}')
        elif b" /v1/chat/completions " not in request.line:
            await client.reply(b'{"error": {"message": "no such path"}}', "404 Not Found")
        else:
            self.running += 1
            try:
                await FAULTS.get(request.order("fault"), well)(client, request)
            except (ValueError, TypeError, KeyError, AttributeError):
                await client.reply(b'{"error": {"message": "no such chat"}}', "400 Bad Request")
            finally:
                self.running -= 1


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """One request, whole; nothing where the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Request(head[: head.find(b"\r\n")], body)


async def serve(port: int) -> None:
    """Until SIGTERM, and then until all that was begun is answered."""
    engine, ending = Engine(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    server = await engine.listen(port)
    await ending.wait()
    server.close()
    await engine.drain()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
