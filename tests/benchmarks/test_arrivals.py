"""Tests for benchmarks/arrivals.py: what is sent, what is counted, and from when."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.arrivals import Caller, http_message, offer, summary

MESSAGE = http_message("/v1/x", {"X-Who": "me"}, {"a": 1})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A server that sends the same bytes for whatever it is sent; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, reply), daemon=True).start()
        yield server.getsockname()[1]


def _serve(server: socket.socket, reply: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, reply), daemon=True).start()


def _answer(connection: socket.socket, reply: bytes) -> None:
    with connection:
        while connection.recv(65536):
            connection.sendall(reply)


def test_a_message_is_a_post_with_its_length() -> None:
    assert MESSAGE == (
        b'POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Who: me\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )


def test_all_that_is_offered_is_answered_and_counted() -> None:
    with answering(OK) as port:
        seen = offer(port, MESSAGE, rate=1000, count=50)
    assert seen.failed == 0
    assert 0 < seen.p50_ms <= seen.p99_ms


def test_chunked_answers_are_read_to_their_end() -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with answering(reply) as port:
        caller = Caller(port)
        assert [caller.ask(MESSAGE, 10), caller.ask(MESSAGE, 10)] == [200, 200]
        caller.close()


def test_a_connection_is_kept_for_the_next_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _answer(server.accept()[0], OK), daemon=True).start()
        caller = Caller(server.getsockname()[1])
        assert caller.ask(MESSAGE, 10) == 200
    assert caller.ask(MESSAGE, 10) == 200, "nobody listens any more"
    caller.close()


def test_another_status_is_a_failure() -> None:
    with answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as port:
        assert offer(port, MESSAGE, rate=1000, count=5).failed == 5


def test_a_server_that_is_not_there_fails_all_requests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert offer(port, MESSAGE, rate=1000, count=5).failed == 5


def test_who_answers_late_did_not_keep_up() -> None:
    waits = [0.001] * 98 + [0.5, 0.6]
    assert summary(waits, 0, seconds=1.0, rate=100).kept_up
    assert not summary(waits, 0, seconds=1.5, rate=100).kept_up
    assert not summary(waits, 1, seconds=1.0, rate=100).kept_up
    assert summary(waits, 0, 1.0, 100).p50_ms == 1.0 and summary(waits, 0, 1.0, 100).p99_ms == 500.0
