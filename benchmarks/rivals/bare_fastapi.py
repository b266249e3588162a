"""The least that could do the job: one FastAPI route that fills a prompt, calls with aiohttp, and cuts the
reply.

No models, releases, metrics, cost, errors or disconnects: the distance to it is what all of those take.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response


def make_app(upstream: str, demos: list[dict[str, str]]) -> FastAPI:
    prefix = [{"role": "system", "content": "Answer the question."}]
    for demo in demos:
        asked, said = demo["question"], f"{demo['reasoning']}\n\n{demo['answer']}"
        prefix += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        async with aiohttp.ClientSession() as session:
            yield {"session": session}

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = orjson.loads(await request.body())
        asked = {"model": "tiny", "messages": [*prefix, body["messages"][-1]], "max_tokens": 512}
        async with request.state.session.post(
            f"{upstream}/v1/chat/completions", data=orjson.dumps(asked)
        ) as reply:
            text = orjson.loads(await reply.read())["choices"][0]["message"]["content"]
        answer = text.split("[[ ## answer ## ]]\n", 1)[1].split("\n\n[[ ## ", 1)[0]
        message = {"role": "assistant", "content": answer}
        content = {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}
        return Response(orjson.dumps(content), media_type="application/json")

    return app


if __name__ == "__main__":
    url, demos_file, port = sys.argv[1:]
    app = make_app(url, json.loads(Path(demos_file).read_text()))
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")
