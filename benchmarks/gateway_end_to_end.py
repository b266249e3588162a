"""What the gateway adds to the answers of a real engine: each question is asked through it and, with the same
rendered prompt, at the engine itself.

A question is first asked through the gateway without being timed: that shows how much of a new request's
prompt lay in the engine's prefix cache already, and from then on both ways find the same in it. Then it is
asked by turns, who comes first changing from question to question; the difference of the two is one value.
Builds the bundled program for the bundled student, on the engine that is named or one that it starts. Needs
the project's development environment, and an engine (`engine install`) unless one is named.

    python -m benchmarks.gateway_end_to_end
    python -m benchmarks.gateway_end_to_end --engine http://127.0.0.1:8100 --questions 10 --no-result
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.gateway_stand import PASSED, ROOT, STOPPED, write_result
from benchmarks.surroundings import BenchmarkFailed, free_port, percentile, process, wait_for
from programs.aliases import read_aliases
from programs.plan import Plan, render
from programs.release import read_release
from programs.tasks.arithmetic import draw

PROGRAM = "arithmetic"
# As many demonstrations as the bundled student bears.
DEMONSTRATIONS = ("--set", "max_bootstrapped_demos=6", "--set", "max_labeled_demos=6")
BUILD = ("build", PROGRAM, "--optimizer", "BootstrapFewShot", *DEMONSTRATIONS)


@dataclass(frozen=True)
class Pair:
    """One question, timed both ways; the tokens are those of its first, untimed request."""

    through_ms: float
    direct_ms: float
    prompt_tokens: int
    cached_tokens: int

    @property
    def added_ms(self) -> float:
        return self.through_ms - self.direct_ms


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--engine", metavar="URL", help="an engine with the bundled student that is up already")
    add("--questions", type=int, default=300)
    add("--no-result", action="store_true", help="write no file to benchmarks/results")
    options = parser.parse_args()
    try:
        pairs = measure(options.engine, options.questions)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return STOPPED
    found = summary(pairs)
    print(text(found))
    if not options.no_result:
        shown = {"summary": found, "pairs": [asdict(pair) for pair in pairs]}
        print(f"written to {write_result('gateway-end-to-end', shown, [])}")
    return PASSED


def measure(engine: str | None, questions: int) -> list[Pair]:
    with (
        tempfile.TemporaryDirectory(prefix="smallforge-bench-") as place,
        engine_at(engine, Path(place)) as url,
    ):
        folder, port = Path(place), free_port()
        (folder / "smallforge.toml").write_text(f'student = "{url}"\n')
        command = [sys.executable, "-m", "compiler", *BUILD]
        say("building ...")
        done = subprocess.run(command, cwd=folder, env=surroundings(), capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkFailed(f"the build ended with {done.returncode}: {done.stderr[-800:]}")
        plan = champion(folder / "releases" / PROGRAM)
        flags = ["--port", str(port), "--metrics-port", "0"]
        serve, log = [sys.executable, "-m", "gateway", "serve", *flags], folder / "gateway.log"
        with process(serve, surroundings(), log, folder) as started:
            wait_for(f"http://127.0.0.1:{port}/readyz", 60, started, log)
            say("asking ...")
            with closing(Caller(f"http://127.0.0.1:{port}")) as through, closing(Caller(url)) as direct:
                return ask_all(through, direct, plan, questions)


@contextmanager
def engine_at(url: str | None, folder: Path) -> Iterator[str]:
    """The named engine, or one that is started for as long."""
    if url is not None:
        yield url.rstrip("/").removesuffix("/v1")
        return
    port, log = free_port(), folder / "engine.log"
    command = [sys.executable, "-m", "engine", "serve", "--port", str(port)]
    say("starting the engine ...")
    with process(command, surroundings(), log, folder) as started:
        wait_for(f"http://127.0.0.1:{port}/v1/models", 300, started, log)
        yield f"http://127.0.0.1:{port}"


def surroundings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def champion(folder: Path) -> Plan:
    version = read_aliases(folder).champion
    plan = read_release(folder / version).plan if version else None
    if plan is None:
        raise BenchmarkFailed(f"{PROGRAM!r} has no champion that was lowered to a plan")
    return plan


class Caller:
    """One kept connection; times a request from its first byte to the last of its answer."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.url = url
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=120)

    def ask(self, body: Mapping[str, Any]) -> tuple[float, Any]:
        """Milliseconds, and the reply."""
        data = json.dumps(body).encode()
        begun = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        took = 1000 * (time.perf_counter() - begun)
        if answer.status != 200:
            raise BenchmarkFailed(f"{self.url} answered {answer.status}: {said[:300]!r}")
        return took, json.loads(said)

    def close(self) -> None:
        self._connection.close()


def ask_all(gateway: Caller, engine: Caller, plan: Plan, questions: int) -> list[Pair]:
    model = model_of(engine.url)
    rng = random.Random(20261127)
    pairs = []
    for number in range(questions):
        question = draw(rng, events=1 + number % 4).question
        through, direct = bodies(plan, model, question)
        _, first = gateway.ask(through)
        turns = [(gateway, through), (engine, direct)]
        took = {caller.url: caller.ask(body) for caller, body in (turns if number % 2 else turns[::-1])}
        (through_ms, said), (direct_ms, told) = took[gateway.url], took[engine.url]
        if said["usage"]["completion_tokens"] != told["usage"]["completion_tokens"]:
            raise BenchmarkFailed(f"the two ways gave answers of different lengths to {question!r}")
        pairs.append(Pair(round(through_ms, 3), round(direct_ms, 3), *tokens_of(first["usage"])))
    return pairs


def bodies(plan: Plan, model: str, question: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same question for the gateway, and as the prompt that it makes of it."""
    rendered = [message.as_dict() for message in render(plan, {plan.chat.user: question})]
    asked = [{"role": "user", "content": question}]
    direct = {"model": model, "messages": rendered, **plan.sampling.as_request()}
    return {"model": plan.program, "messages": asked}, direct


def model_of(url: str) -> str:
    with urlopen(f"{url}/v1/models", timeout=30) as reply:
        return str(json.load(reply)["data"][0]["id"])


def tokens_of(usage: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of a prompt, and how many of them were in the engine's cache."""
    details = usage.get("prompt_tokens_details") or {}
    return int(usage["prompt_tokens"]), int(details.get("cached_tokens") or 0)


def summary(pairs: Sequence[Pair]) -> dict[str, float]:
    added = [pair.added_ms for pair in pairs]
    prompts = sum(pair.prompt_tokens for pair in pairs)
    return {
        "questions": len(pairs),
        "through_p50_ms": round(median(pair.through_ms for pair in pairs), 3),
        "direct_p50_ms": round(median(pair.direct_ms for pair in pairs), 3),
        "added_p50_ms": round(median(added), 3),
        "added_p99_ms": round(percentile(added, 0.99), 3),
        "cached_share": round(sum(pair.cached_tokens for pair in pairs) / prompts, 4),
    }


def text(found: Mapping[str, float]) -> str:
    return (
        f"{found['questions']} questions, medians: {found['through_p50_ms']:.2f} ms through the gateway, "
        f"{found['direct_p50_ms']:.2f} ms past it\n"
        f"added by the gateway: median {found['added_p50_ms']:.2f} ms, p99 {found['added_p99_ms']:.2f} ms\n"
        f"of a new request's prompt {found['cached_share']:.1%} lay in the engine's prefix cache"
    )


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
