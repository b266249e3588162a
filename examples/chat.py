"""A chat with a served release, by OpenAI's own client: python examples/chat.py scripture_qa

Answers are streamed, reasoning is dim, and below each stands what the gateway tells of it. /quit ends.
Through a pipe each line is a text. Four tasks bring an example and what it is about; --system replaces that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from openai import APIConnectionError, APIError, OpenAI
from openai.types.chat import ChatCompletionMessageParam

URL = "http://127.0.0.1:8080"
# A first question, and the system text that it is about where the task wants one.
EXAMPLES: dict[str, tuple[str, str | None]] = {
    "gsm8k": ("Anna buys 4 pens at $3 each and pays with $20. How many dollars does she get back?", None),
    "hotpotqa": (
        "On which river does the town lie where the painter Ilse Marrow was born?",
        "Ilse Marrow | Ilse Marrow (1911-1983) was a painter born in Tannford.\n"
        "Tannford | Tannford is a market town on the River Wend.\n"
        "Wend Rowing Club | The Wend Rowing Club was founded in 1904.",
    ),
    "scripture_qa": ("Who made the heavens and the earth in Genesis 1:1?", None),
    "teaching": (
        "What does the heart do?",
        "The heart pumps blood through the body. Blood carries oxygen to every part.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help=f"{', '.join(EXAMPLES)}, or any other that the gateway serves")
    parser.add_argument("--system", help="what the questions are about, for programs that take it")
    parser.add_argument("--url", default=URL, help=f"of the gateway [{URL}]")
    given = parser.parse_args(arguments)
    question, about = EXAMPLES.get(given.model.partition("@")[0], (None, None))
    system = given.system or about
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": system}] if system else []
    if system:
        print(dim(system))
    if question and sys.stdin.isatty():
        print(dim(f"Ask for example: {question}"))
    failed = False
    with OpenAI(base_url=f"{given.url}/v1", api_key="unused") as client:
        for text in texts():
            try:
                messages = ask(client, given.model, [*messages, {"role": "user", "content": text}])
            except APIConnectionError:
                print(f"No gateway answers at {given.url}; start one with: gateway serve", file=sys.stderr)
                return 2
            except APIError as error:
                failed = True
                print(flush=True)
                print(f"The answer failed: {reason(error)}", file=sys.stderr)
    return 2 if failed else 0


def texts() -> Iterator[str]:
    """What is typed, or the lines of a pipe, until the end or /quit."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            text = input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text == "/quit":
            return
        if text:
            yield text


def ask(
    client: OpenAI, model: str, messages: list[ChatCompletionMessageParam]
) -> list[ChatCompletionMessageParam]:
    """Shows the answer while it comes and what it took; gives the chat with it, for the next question."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    told = {name: value for name, value in raw.headers.items() if name.startswith("x-smallforge-")}
    answer = ""
    for chunk in raw.parse():
        for choice in chunk.choices:
            print(dim(getattr(choice.delta, "reasoning", None) or ""), end="", flush=True)
            if choice.delta.content and not answer:
                print()
            print(choice.delta.content or "", end="", flush=True)
            answer += choice.delta.content or ""
        if chunk.usage is not None:
            # What a whole reply has in headers; of a stream it is known at the end only.
            took = chunk.model_dump()["smallforge"]
            told["x-smallforge-cost-usd"] = took["cost_usd"]
            told["x-smallforge-overhead-ms"] = took["overhead_ms"]
    print("\n" + dim("  ".join(f"{name}: {value}" for name, value in told.items())))
    return [*messages, {"role": "assistant", "content": answer}]


def reason(error: APIError) -> str:
    """The gateway's own sentence."""
    return str(error.body["message"]) if isinstance(error.body, dict) else error.message


def dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if text and sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())
