"""What fuzzers throw bytes at: each target reads them as the gateway would, whole and in pieces.

A target raises AssertionError where pieces give something else than the whole, and lets through whatever is
no error of the package that reads. The first byte of `data` decides how the rest is cut, so one file of a
corpus is one case.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping

import orjson

from engine.chat import read_delta, read_model_cards, read_reply, read_usage
from engine.client import EngineClient
from engine.connection import Connection
from engine.errors import EngineError
from engine.settings_access import CapSettings
from engine.sse import EventReader
from engine.translation import from_status
from engine.waiting import DEFAULT_TIMEOUTS, Clock
from gateway.caps import read_request
from gateway.conversation import Conversation
from gateway.errors import GatewayError, as_gateway_error
from gateway.policy import FIELDS, FIELDS_WITH_TOOLS
from gateway.protocol import ChatRequest, answer_text, header_names, request_from
from gateway.responses_request import read_responses_request
from programs.errors import ProgramError, ReplyUnparseable
from programs.json_values import write_json
from programs.plan import Field, Plan, render
from programs.program import Chat, Sampling
from programs.reader import FieldReader
from programs.tool_calls import tool_fields

URL = "http://engine"
CAPS = CapSettings()
MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]")


def _plan(name: str, inputs: tuple[Field, ...], outputs: tuple[Field, ...], chat: Chat) -> Plan:
    return Plan(name, (), inputs, outputs, "Answer now.", chat, Sampling())


OUTPUTS = (
    Field("reasoning"),
    Field("answer"),
    Field("count", "int", required=False, default=0),
    Field("share", "float", required=False, default=0.0),
    Field("sure", "bool", required=False, default=False),
    Field("words", "list[str]", required=False),
    Field("kind", "literal", ("high", "low"), required=False),
    Field("tone", "enum", ("1", "2"), required=False, names=("ONE", "TWO")),
    Field("object", "json", required=False, schema={"type": "object", "additionalProperties": True}),
    Field("calls", "tool_calls", required=False),
)
PLANS = (
    _plan("one", (Field("question"),), OUTPUTS[:2], Chat("question", "answer", reasoning=("reasoning",))),
    _plan(
        "several",
        (Field("context"), Field("question"), Field("history", "history", required=False)),
        OUTPUTS[:2],
        Chat("question", "answer", system="context", history="history"),
    ),
    _plan(
        "typed",
        (
            Field("question"),
            Field("count", "int", required=False),
            Field("words", "list[str]", required=False),
            Field("kind", "literal", ("high", "low"), required=False),
            Field("object", "json", required=False, schema={}),
        ),
        OUTPUTS,
        Chat("question", "answer"),
    ),
    _plan(
        "tools",
        (Field("question"), Field("tools", "tools"), Field("history", "history", required=False)),
        (Field("answer"), Field("calls", "tool_calls", required=False)),
        Chat("question", "answer", history="history"),
    ),
)


def pieces(data: bytes, rhythm: int) -> Iterator[bytes]:
    """The bytes cut every 1 to 17 of them, in a rhythm that one number decides."""
    at = 0
    while at < len(data):
        size = 1 + (rhythm * 31 + at * 7) % 17
        yield data[at : at + size]
        at += size


def reply(data: bytes) -> None:
    """A model's reply, through the field reader."""
    text = data[1:].decode(errors="replace")
    whole = _fields(iter([text]))
    cut = len(text) and (data[0] * 31) % len(text)
    parts = [text[:cut], *text[cut:]] if data[0] % 2 else [text[:cut], text[cut:]]
    assert _fields(iter(parts)) == whole, "chunking changed what a reply says"


def _fields(parts: Iterator[str]) -> tuple[dict[str, str], str]:
    reader = FieldReader(OUTPUTS)
    said: dict[str, str] = {}
    deltas = [delta for part in parts for delta in reader.feed(part)] + reader.close()
    for name, text in deltas:
        said[name] = said.get(name, "") + text
    assert said == {name: text for name, text in reader.texts().items() if text}
    try:
        outputs = reader.outputs()
    except ReplyUnparseable as error:
        assert len(str(error)) < 1_000, "an error repeats a reply at length"
        return said, str(error)
    write_json(outputs)
    answer_text(outputs["answer"])
    return said, repr(outputs)


def events(data: bytes) -> None:
    """A stream of server-sent events, and what their JSON says."""
    whole = EventReader()
    expected = whole.feed(data[1:]) + whole.finish()
    reader = EventReader()
    found = [payload for part in pieces(data[1:], data[0]) for payload in reader.feed(part)]
    assert found + reader.finish() == expected, "chunking changed what a stream says"
    client = EngineClient(URL, "tiny", same_model=bool(data[0] % 2))
    for payload in expected:
        _engine_says(lambda payload=payload: read_delta(client.event(payload), URL))  # type: ignore[misc]


def engine_body(data: bytes) -> None:
    """JSON from an engine, read as each of the things that it may be."""
    client = EngineClient(URL, "tiny", key="sk-a-secret-of-ours")
    try:
        body = client.body(data[1:])
    except EngineError:
        return
    readers: tuple[Callable[[Mapping[str, object]], object], ...] = (
        lambda body: read_reply(body, "tiny", URL),
        lambda body: read_delta(body, URL),
        lambda body: read_model_cards(body, URL),
        lambda body: client.event(orjson.dumps(body)),
    )
    for read in readers:
        _engine_says(lambda read=read: read(body))  # type: ignore[misc]
    usage = read_usage(body)
    if usage is not None:
        assert 0 <= (usage.cached_tokens or 0) <= usage.prompt_tokens < 2**53
        assert 0 <= usage.completion_tokens < 2**53


def engine_reply(data: bytes) -> None:
    """A whole HTTP reply of an engine, through the connection's parser."""
    whole = asyncio.run(_read_reply(iter([data[1:]])))
    parts = asyncio.run(_read_reply(pieces(data[1:], data[0])))
    # Before it is found to be damaged, more or less of a reply has been read.
    alike = whole if not whole[2] else (whole[0], parts[1], whole[2])
    assert alike == parts, "chunking changed what an engine's reply is"


async def _read_reply(parts: Iterator[bytes]) -> tuple[int, bytes, str]:
    connection = Connection(URL, lambda connection: None)
    transport = Ended()
    connection.connection_made(transport)
    connection.clock = Clock(DEFAULT_TIMEOUTS, URL, asyncio.get_running_loop().time)
    asking = asyncio.create_task(connection.ask(b"POST / HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0)
    for part in parts:
        if transport.closed:
            break
        connection.data_received(part)
    connection.connection_lost(None)
    body = b""
    try:
        await asking
        while piece := await connection.some("between"):
            body += piece
    except EngineError as error:
        return connection.status, body, type(error).__name__
    if connection.status != 200:
        _engine_says(
            lambda: _raise(
                from_status(connection.status, connection.headers, body.decode(errors="replace"), URL)
            )
        )
    return connection.status, body, ""


class Ended(asyncio.Transport):
    """A connection on which nothing travels: what arrives is given to the protocol by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """To nobody."""

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """All there is has come already."""

    def resume_reading(self) -> None:
        """As above."""


def _raise(error: EngineError) -> None:
    raise error


def _engine_says(read: Callable[[], object]) -> None:
    """Whatever an engine says is understood or is an error that a client can be told."""
    try:
        read()
    except EngineError as error:
        told = as_gateway_error(error)
        assert told.status != 500 and told.headers() is not None and told.body()


def chat(data: bytes) -> None:
    """A body for /v1/chat/completions, up to the prompt that it becomes."""
    plan = PLANS[data[0] % len(PLANS)]
    fields = FIELDS_WITH_TOOLS if plan.program == "tools" else FIELDS
    _understood(plan, lambda: request_from(read_request(data[1:], CAPS), CAPS.messages, fields))


def responses(data: bytes) -> None:
    """A body for /v1/responses, up to the prompt that it becomes."""
    plan = PLANS[data[0] % len(PLANS)]
    tools = plan.program == "tools"
    _understood(
        plan,
        lambda: read_responses_request(read_request(data[1:], CAPS), CAPS.messages, with_tools=tools)[0],
    )


def _understood(plan: Plan, read: Callable[[], ChatRequest]) -> None:
    conversation = Conversation(
        plan.program, plan.chat, plan.inputs, tools=tool_fields(plan.inputs, plan.outputs)
    )
    try:
        request = read()
        found = conversation.inputs(request)
        messages = render(plan, found.values)
    except (GatewayError, ProgramError) as error:
        told = as_gateway_error(error)
        assert told.status in (400, 404), f"a request became {told.status}"
        assert len(told.body()) < 5_000 and told.headers() is not None
        return
    header_names([*request.ignored, *found.dropped])
    orjson.dumps([message.as_dict() for message in messages])
    own = {f.name for f in (*plan.inputs, *plan.outputs)} | {"completed", "tool_call_results"}
    for message in messages:
        forged_markers(message.content, own)


def forged_markers(content: str, own: set[str]) -> None:
    """Fails where a message has a marker that the program did not put there."""
    marked = MARKER.findall(content)
    assert set(marked) <= own and len(marked) == len(set(marked)), f"{marked} stand in a prompt"
    assert (
        "<<CUSTOM-TYPE-START-IDENTIFIER>>" not in content and "<<CUSTOM-TYPE-END-IDENTIFIER>>" not in content
    )


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reply": reply,
    "events": events,
    "engine_body": engine_body,
    "engine_reply": engine_reply,
    "chat": chat,
    "responses": responses,
}
"""Name -> what is fuzzed under it; `corpus/NAME/` holds cases that once were of interest."""
