"""The least that could do the job: one ASGI function that fills a prompt, calls with aiohttp, and cuts the
reply.

No framework, models, releases, metrics, cost, errors or disconnects: the distance to it is what all of those
take. Arguments: the upstream's URL, a JSON file with the program's demonstrations, a port.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn
from starlette.types import Receive, Scope, Send


class Asker:
    """Asks the upstream one chat; its connections are opened by the first."""

    def __init__(self, upstream: str, demos: Sequence[Mapping[str, str]]) -> None:
        self._url = f"{upstream}/v1/chat/completions"
        self._prefix: list[Any] = [{"role": "system", "content": "Answer the question."}]
        for demo in demos:
            said = f"{demo['reasoning']}\n\n{demo['answer']}"
            self._prefix += [
                {"role": "user", "content": demo["question"]},
                {"role": "assistant", "content": said},
            ]
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, body: bytes) -> bytes:
        """The body of a reply to the body of a request."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        messages = [*self._prefix, orjson.loads(body)["messages"][-1]]
        asked = orjson.dumps({"model": "tiny", "messages": messages, "max_tokens": 512})
        async with self._session.post(self._url, data=asked) as reply:
            text = orjson.loads(await reply.read())["choices"][0]["message"]["content"]
        answer = text.split("[[ ## answer ## ]]\n", 1)[1].split("\n\n[[ ## ", 1)[0]
        message = {"role": "assistant", "content": answer}
        return orjson.dumps({"object": "chat.completion", "choices": [{"index": 0, "message": message}]})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Application:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        content = await self._asker.complete(body) if body else b"{}"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def arguments() -> tuple[Asker, int]:
    upstream, demos, port = sys.argv[1:]
    return Asker(upstream, json.loads(Path(demos).read_text())), int(port)


if __name__ == "__main__":
    asker, port = arguments()
    uvicorn.run(Application(asker), port=port, access_log=False, log_level="warning", lifespan="off")
