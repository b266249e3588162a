"""A model that says one token with each write: as fast as the socket takes them, or in the steps of an
engine that all its streams share. Each token is the time at which it was sent.

How many and how fast is in the question: `tokens=300 step_ms=10`. A process of its own, which the benchmarks
start on the core of the load:

    python -m benchmarks.token_upstream PORT
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from typing import NamedTuple

import uvloop

from benchmarks.surroundings import REPLY

BURST = 8  # tokens of one stream before another has its turn, where nothing slows them
_ORDER = re.compile(rb"tokens=(\d+) step_ms=(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_USAGE = b'{"prompt_tokens":612,"completion_tokens":31,"total_tokens":643}'
_REPLY = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"tiny","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"%b"},"finish_reason":"stop"}],"usage":%b}' % (REPLY.encode(), _USAGE)
)
_MODELS = b'{"object":"list","data":[{"id":"tiny","object":"model"}]}'
_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"tiny",'
_BEGIN = b"[[ ## reasoning ## ]]\\nTold.\\n\\n[[ ## answer ## ]]\\n"
_END = b"\\n\\n[[ ## completed ## ]]\\n"


class Order(NamedTuple):
    """`step` is in seconds; 0 is as fast as it goes."""

    tokens: int
    step: float


def read_order(request: bytes) -> Order | None:
    """What a streamed request asks for; None where it asks for no stream of tokens."""
    found = _ORDER.search(request)
    return Order(int(found[1]), int(found[2]) / 1000) if found and b'"stream":' in request else None


def event(text: bytes, finish: bytes = b"null") -> bytes:
    """One piece, as a chunk of the reply's body."""
    choice = b'"choices":[{"index":0,"delta":{"content":"%b"},"logprobs":null,"finish_reason":%b}]}'
    return chunk(_CHUNK + choice % (text, finish) + b"\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole_reply(request: bytes) -> bytes:
    """The reply to a request that is no stream."""
    line = request[: request.find(b"\r\n")]
    if b" /v1/models " in line:
        status, body = b"200 OK", _MODELS
    elif b" /v1/chat/completions " in line:
        status, body = b"200 OK", _REPLY
    else:
        status, body = b"404 Not Found", b"{}"
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = (
    event(_END)
    + event(b"", b'"stop"')
    + chunk(_CHUNK + b'"choices":[],"usage":%b}\n\n' % _USAGE)
    + chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    talks: set[asyncio.Task[None]] = set()
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        listener.setblocking(False)
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = loop.create_task(converse(connection))
            talks.add(talk)
            talk.add_done_callback(talks.discard)


async def converse(connection: socket.socket) -> None:
    """Answers one request after the other until the client leaves."""
    loop = asyncio.get_running_loop()
    with connection:
        try:
            while request := await read_request(connection):
                order = read_order(request)
                if order is None:
                    await loop.sock_sendall(connection, whole_reply(request))
                else:
                    await say(connection, order)
        except ConnectionError:
            return


async def read_request(connection: socket.socket) -> bytes:
    """One request, whole; nothing where the client has left."""
    loop, request = asyncio.get_running_loop(), b""
    while data := await loop.sock_recv(connection, 65536):
        request += data
        head, gap, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if gap and len(body) >= (int(length[1]) if length else 0):
            return request
    return b""


async def say(connection: socket.socket, order: Order) -> None:
    """Sends the tokens; each is a write of its own."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, STREAM_HEAD + event(_BEGIN))
    # Timers may end a moment early, so each step is counted from the first and not from the time it is.
    due = loop.time() // order.step * order.step if order.step else 0.0
    for number in range(order.tokens):
        if order.step:
            due += order.step
            await asyncio.sleep(due - loop.time())
        elif number % BURST == 0:
            await asyncio.sleep(0)
        token = event(b" %016d" % time.monotonic_ns())
        try:
            sent = connection.send(token)
        except BlockingIOError:
            sent = 0
        if sent < len(token):
            await loop.sock_sendall(connection, token[sent:])
    await loop.sock_sendall(connection, STREAM_END)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
