"""The same as `bare_asgi` as one FastAPI route: the distance between the two is the framework."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.rivals.bare_asgi import Asker, arguments


def make_app(asker: Asker) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        yield
        await asker.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        return Response(await asker.complete(await request.body()), media_type="application/json")

    return app


if __name__ == "__main__":
    asker, port = arguments()
    uvicorn.run(make_app(asker), port=port, access_log=False, log_level="warning")
