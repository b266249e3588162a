"""What a measurement needs around it: processes that end with it, free ports, an upstream of no latency, and
a place in a page.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Command = Sequence[str | Path]
REPLY = (
    "[[ ## reasoning ## ]]\\nTwelve trays of 8 rolls are 96 rolls. 96 less 70 leaves 26.\\n\\n"
    "[[ ## answer ## ]]\\n26\\n\\n[[ ## completed ## ]]\\n"
)


class BenchmarkFailed(Exception):
    """One sentence for the person who runs it."""


@contextmanager
def nginx(folder: Path, core: int) -> Iterator[str]:
    """A server that answers every completion with the same reply, as fast as HTTP allows."""
    port = free_port()
    command = pinned(core, nginx_command(folder, "upstream", constant_reply(port)))
    with process(command, with_sbin(), folder / "upstream.out"):
        wait_for(f"http://127.0.0.1:{port}/v1/models", 10)
        yield f"http://127.0.0.1:{port}"


def nginx_command(folder: Path, name: str, http: str) -> Command:
    """The command of an nginx with one worker; `http` is what its configuration has in that block."""
    config = folder / f"{name}.conf"
    config.write_text(
        f"""
        worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000000; client_body_temp_path {folder};
            proxy_temp_path {folder}; default_type application/json;
            {http}
        }}
        """
    )
    return ["nginx", "-p", folder, "-c", config]


def constant_reply(port: int) -> str:
    """What makes nginx a model that always says the same."""
    usage = '"usage":{"prompt_tokens":612,"completion_tokens":31,"total_tokens":643}'
    choice = f'{{"index":0,"message":{{"role":"assistant","content":"{REPLY}"}},"finish_reason":"stop"}}'
    reply = f'{{"id":"c","object":"chat.completion","created":1,"model":"tiny","choices":[{choice}],{usage}}}'
    reply = reply.replace("\\", "\\\\")  # nginx reads escapes in its own strings
    models = '{"object":"list","data":[{"id":"tiny","object":"model"}]}'
    return f"""
        server {{
            listen 127.0.0.1:{port};
            location = /v1/chat/completions {{ return 200 '{reply}'; }}
            location = /v1/models {{ return 200 '{models}'; }}
        }}
    """


def plain_proxy(port: int, upstream: str) -> str:
    """What makes nginx hand everything on, over connections that it keeps."""
    return f"""
        upstream behind {{ server {upstream.removeprefix("http://")}; keepalive 64; }}
        server {{
            listen 127.0.0.1:{port};
            location / {{
                proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
            }}
        }}
    """


def with_sbin() -> dict[str, str]:
    """This process's environment, with the folder on its path in which Debian puts servers."""
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}


def pinned(core: int, command: Command) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


@contextmanager
def process(
    command: Sequence[str], surroundings: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=surroundings, cwd=folder, stdout=output, stderr=output)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def wait_for(
    url: str,
    seconds: float,
    started: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
    every: float = 0.2,
) -> None:
    """Until the address answers; asked again after `every` seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and (started is None or started.poll() is None):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(every)
    said = f": {log.read_text()[-800:]}" if log else ""
    raise BenchmarkFailed(f"nothing answers at {url}{said}")


def gpus() -> list[str]:
    """What the NVIDIA driver of this machine calls its GPUs; nothing where there is none."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def write_between(page: Path, name: str, text: str) -> None:
    """Puts a text between the two marks of that name in a page.

    Raises:
        BenchmarkFailed: the page lacks a mark.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begun, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise BenchmarkFailed(f"{str(page)!r} lacks the lines {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
