"""One question, asked by the official client in its several ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openai import OpenAI


class Asker:
    """Asks one question; `cache` is what the last reply's header said."""

    def __init__(self, client: OpenAI, question: str, model: str = "quiz") -> None:
        self.client = client
        self.ask: Any = {"model": model, "messages": [{"role": "user", "content": question}]}
        self.cache: str | None = None
        self.headers: Any = {}

    def whole(self, **more: Any) -> Any:
        raw = self.client.chat.completions.with_raw_response.create(**self.ask, **more)
        self.headers, self.cache = raw.headers, raw.headers.get("x-smallforge-cache")
        return raw.parse()

    def streamed(self, **more: Any) -> list[Any]:
        options = {"include_usage": True}
        create: Any = self.client.chat.completions.with_raw_response.create
        raw = create(**self.ask, stream=True, stream_options=options, **more)
        self.cache = raw.headers.get("x-smallforge-cache")
        return list(raw.parse())


@contextmanager
def asking(url: str, question: str) -> Iterator[Asker]:
    """Who asks the gateway at that address."""
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield Asker(client, question)
