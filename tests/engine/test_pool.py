"""Which connections are opened, shared and waited for, and how an engine's address is read."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from asyncio.subprocess import PIPE
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.client import EngineClient, Timeouts
from engine.errors import EngineTimeout, EngineUnreachable
from tests.engine.raw_server import WHOLE, answering
from tests.engine.scripted_server import chunk, completion, never, replying, serving, streaming

pytestmark = pytest.mark.asyncio

ASK = [{"role": "user", "content": "2 + 2?"}]


async def test_no_more_connections_work_than_there_may_and_the_others_wait() -> None:
    async with (
        serving(replying(completion())) as server,
        EngineClient(server.url, "tiny", connections=2) as client,
    ):
        replies = await asyncio.gather(*(client.complete(ASK, {}) for _ in range(10)))
    assert [reply.text for reply in replies] == ["four"] * 10
    assert len(set(server.peers)) == 2


async def test_waiting_for_a_connection_is_limited_too() -> None:
    parts = [chunk({"content": "."})] * 1000
    async with (
        serving(streaming(*parts, pause=0.02)) as server,
        EngineClient(server.url, "tiny", connections=1, timeouts=Timeouts(first_byte=0.3)) as client,
        aclosing(client.stream(ASK, {})) as stream,
    ):
        await anext(stream)
        with pytest.raises(EngineTimeout, match=r"0\.3 s to begin"):
            await client.complete(ASK, {})
        assert len(server.bodies) == 1


async def test_who_leaves_while_waiting_takes_no_connection_along() -> None:
    async with serving(never) as server, EngineClient(server.url, "tiny", connections=1) as client:
        first = asyncio.create_task(client.complete(ASK, {}))
        await asyncio.wait_for(server.arrived.wait(), 2)
        second, third = (asyncio.create_task(client.complete(ASK, {})) for _ in range(2))
        await asyncio.sleep(0)
        server.arrived.clear()
        for call in (second, first):
            call.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await asyncio.wait_for(server.arrived.wait(), 2)
        third.cancel()
    assert len(server.bodies) == 2


async def test_closing_a_client_closes_its_connections() -> None:
    async with answering(WHOLE) as server:
        client = EngineClient(server.url, "tiny")
        await client.complete(ASK, {})
        await client.close()
        await asyncio.sleep(0.05)
        assert (server.connections, server.closed) == (1, 1)


async def test_a_request_says_what_a_server_needs_and_nothing_else() -> None:
    async with answering(WHOLE) as server, EngineClient(f"{server.url}/of/us/v1", "tiny") as client:
        await client.complete([], {})
    port = server.url.rpartition(":")[2].encode()
    assert server.requests == [
        b"POST /of/us/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%b\r\n"
        b"Content-Type: application/json\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        b"User-Agent: smallforge\r\nContent-Length: 30\r\n\r\n"
        b'{"model":"tiny","messages":[]}' % port
    ]


async def test_a_name_and_password_in_an_address_are_sent_as_such() -> None:
    async with answering(WHOLE) as server:
        url = server.url.replace("//", "//user:p%40ss@")
        async with EngineClient(url, "tiny") as client:
            await client.complete(ASK, {})
    assert b"\r\nAuthorization: Basic dXNlcjpwQHNz\r\n" in server.requests[0]


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://[::1", "tiny"]
)
async def test_what_is_no_address_of_a_server_is_unreachable(url: str) -> None:
    async with EngineClient(url, "tiny") as client:
        with pytest.raises(EngineUnreachable):
            await client.complete(ASK, {})


async def test_a_key_with_a_line_break_is_never_sent() -> None:
    async with (
        answering(WHOLE) as server,
        EngineClient(server.url, "tiny", key="sk-canary\r\nX-Other: 1") as client,
    ):
        with pytest.raises(EngineUnreachable, match="line break") as caught:
            await client.complete(ASK, {})
    assert "sk-canary" not in str(caught.value) and server.requests == []


async def test_a_server_whose_certificate_nobody_vouches_for_is_not_asked(tmp_path: Path) -> None:
    async with (
        answering(WHOLE, tls=certified(tmp_path / "server.pem")) as server,
        EngineClient(server.url.replace("http:", "https:"), "tiny") as client,
    ):
        with pytest.raises(EngineUnreachable, match="certificate verify failed"):
            await client.complete(ASK, {})
    assert server.requests == []


ASKING = """
import asyncio, sys
from engine.client import EngineClient

async def ask():
    async with EngineClient(sys.argv[1], "tiny") as client:
        for _ in range(2):
            print((await client.complete([], {})).text)

asyncio.run(ask())
"""


async def test_a_server_whose_certificate_is_trusted_is_asked_over_tls(tmp_path: Path) -> None:
    trusted = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "server.pem")}
    async with answering(WHOLE, tls=certified(tmp_path / "server.pem")) as server:
        asking = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASKING, server.url.replace("http:", "https:"), env=trusted, stdout=PIPE
        )
        said, _ = await asking.communicate()
    assert said.split() == [b"four", b"four"]
    assert (len(server.requests), server.connections) == (2, 1)


def certified(path: Path) -> ssl.SSLContext:
    """What a server on 127.0.0.1 needs to speak TLS. Its certificate, signed by itself, is at `path`."""
    key, name = generate_private_key(SECP256R1()), x509.Name([])
    now, day = datetime.now(UTC), timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        .add_extension(address, critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
