"""The whole way on one screen: compile a program for the bundled student, serve it, ask it as a client does.

Runs the commands a user types, in a folder of its own, and talks to them over HTTP only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from openai import OpenAI

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
FOLDER = Path.cwd() / ".smallforge" / "demo"

PROGRAM = "arithmetic"
QUESTIONS = (
    "Anna has 12 apples. She buys 4 more. The number doubles. How many apples does Anna have now?",
    "Henry has 9 marbles. He finds 5 more. He loses 4. How many marbles does Henry have now?",
)
"""Of the family that the student knows, and not among those that it was trained on."""


class DemoFailed(Exception):
    """One sentence for the person who runs the demo."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exit", action="store_true", help="stop after the answers and leave nothing running"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(stay=not arguments.exit)
    except DemoFailed as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    return 0


def run(stay: bool) -> None:
    """Engine, build, gateway, two questions, result; whatever was started stops with the block."""
    engine, gateway, metrics = (free_port(preferred) for preferred in (8100, 8080, 9091))
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = (HERE / "smallforge.toml").read_text().replace(":8100", f":{engine}")
    (FOLDER / "smallforge.toml").write_text(settings)
    with ExitStack() as started:
        say("1. The student: a tiny language model on real vLLM")
        serve = ["engine", "serve", "--port", str(engine)]
        started.enter_context(serving(serve, "Ready after", 300))
        say(f"2. Compile {PROGRAM!r} for it")
        if code := subprocess.run([BIN / "compiler", "build", PROGRAM], cwd=FOLDER, check=False).returncode:
            raise DemoFailed(f"`compiler build {PROGRAM}` ended with exit code {code}")
        say("3. Serve the release and ask it with the `openai` client")
        serve = ["gateway", "serve", "--port", str(gateway), "--metrics-port", str(metrics)]
        started.enter_context(serving(serve, "Smallforge gateway:", 120))
        client = started.enter_context(OpenAI(base_url=f"http://127.0.0.1:{gateway}/v1", api_key="unused"))
        ask_whole(client, QUESTIONS[0])
        ask_streamed(client, QUESTIONS[1])
        say("What the build measured, on examples the optimiser never saw")
        print(measured())
        say("Addresses")
        print(f"  OpenAI base URL   http://127.0.0.1:{gateway}/v1   (model {PROGRAM!r}, any key)")
        print(f"  Prometheus        http://127.0.0.1:{metrics}/metrics")
        if stay:
            print("\nThe gateway stays up; Ctrl-C stops it and the engine.")
            signal.pause()


def free_port(preferred: int) -> int:
    """The preferred port, or any other if something else has it."""
    for port in (preferred, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])
    raise DemoFailed("no port is free on 127.0.0.1")


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


@contextmanager
def serving(command: list[str], sign: str, seconds: float) -> Iterator[None]:
    """Runs one of our servers, in a session of its own so that Ctrl-C reaches the demo first.

    It is up when `sign` stands in what it says: another server that has the port can't be taken for it.
    """
    log = FOLDER / f"{command[0]}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / command[0], *command[1:]],
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while sign not in log.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() - began > seconds:
                    raise DemoFailed(f"`{' '.join(command)}` did not come up; it said:\n{tail(log)}")
                time.sleep(0.2)
            print(f"  `{' '.join(command)}` is up after {time.monotonic() - began:.0f} s", flush=True)
            yield
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def ask_whole(client: OpenAI, question: str) -> None:
    began = time.perf_counter()
    raw = client.chat.completions.with_raw_response.create(
        model=PROGRAM, messages=[{"role": "user", "content": question}]
    )
    seconds = time.perf_counter() - began
    headers, message = raw.headers, raw.parse().choices[0].message
    print(f"\n  {question}\n  -> {message.content}")
    print(f"     worked out as: {message.model_dump()['reasoning']}")
    release, overhead = headers["x-smallforge-release"], headers["x-smallforge-overhead-ms"]
    cost = float(headers["x-smallforge-cost-usd"])
    print(f"     {release}, {seconds * 1000:.0f} ms, of them {overhead} ms the gateway's, {cost:.2g} USD")


def ask_streamed(client: OpenAI, question: str) -> None:
    print(f"\n  {question}\n  -> ", end="", flush=True)
    began = time.perf_counter()
    first, cost = None, 0.0
    stream = client.chat.completions.create(
        model=PROGRAM,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            if choice.delta.content:
                first = first or time.perf_counter() - began
                print(choice.delta.content, end="", flush=True)
        if chunk.usage is not None:
            cost = chunk.model_dump()["smallforge"]["cost_usd"]
    total, first = (time.perf_counter() - began) * 1000, (first or 0) * 1000
    print(f"\n     streamed: answer after {first:.0f} ms, end after {total:.0f} ms, {cost:.2g} USD")
    print("     (the demo takes this machine to cost 0.10 USD per hour)")


def measured() -> str:
    """Before and after, from the evidence that the champion carries."""
    program = FOLDER / "releases" / PROGRAM
    champion = json.loads((program / "aliases.json").read_text())["champion"]
    evidence = sorted((program / champion / "evidence").glob("*/build.json"))[-1]
    scores = json.loads(evidence.read_text())["scores"]
    lines = ["                  right   95 % interval   unreadable   of"]
    for name, score in (("unoptimised", scores["before"]), ("compiled", scores["after"])):
        interval = f"{score['low']:.1%} to {score['high']:.1%}"
        lines.append(
            f"  {name:<14}{score['mean']:>7.1%}  {interval:>15} {score['unparseable']:>10}  {score['n']:>5}"
        )
    gained = scores["difference"]
    lines.append(f"  {gained['won']} questions won, {gained['lost']} lost, paired p = {gained['p']:.1g}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
