"""The stock way to serve a DSPy program: FastAPI and `dspy.asyncify`, as DSPy's own deployment guide shows
it.

Arguments: the upstream's URL and a JSON file with the program's demonstrations.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dspy
import uvicorn
from fastapi import FastAPI


def make_app(upstream: str, demos: list[dict[str, str]]) -> FastAPI:
    lm = dspy.LM(
        "openai/tiny", api_base=f"{upstream}/v1", api_key="unused", temperature=0, max_tokens=512, cache=False
    )
    dspy.configure(lm=lm, async_max_workers=32)
    program = dspy.ChainOfThought("question -> answer")
    program.predict.demos = [dspy.Example(**demo).with_inputs("question") for demo in demos]
    run = dspy.asyncify(program)
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(body: dict[str, Any]) -> dict[str, Any]:
        prediction = await run(question=body["messages"][-1]["content"])
        message = {"role": "assistant", "content": prediction.answer, "reasoning": prediction.reasoning}
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }

    return app


if __name__ == "__main__":
    url, demos_file, port = sys.argv[1:]
    app = make_app(url, json.loads(Path(demos_file).read_text()))
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")
