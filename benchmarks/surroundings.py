"""What a speed measurement needs around it: processes that end with it, free ports, and an upstream of no
latency.
"""

from __future__ import annotations

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
    usage = '"usage":{"prompt_tokens":612,"completion_tokens":31,"total_tokens":643}'
    choice = f'{{"index":0,"message":{{"role":"assistant","content":"{REPLY}"}},"finish_reason":"stop"}}'
    reply = f'{{"id":"c","object":"chat.completion","created":1,"model":"tiny","choices":[{choice}],{usage}}}'
    reply = reply.replace("\\", "\\\\")  # nginx reads escapes in its own strings
    models = '{"object":"list","data":[{"id":"tiny","object":"model"}]}'
    (folder / "nginx.conf").write_text(
        f"""
        worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000000; client_body_temp_path {folder};
            default_type application/json;
            server {{
                listen 127.0.0.1:{port};
                location = /v1/chat/completions {{ return 200 '{reply}'; }}
                location = /v1/models {{ return 200 '{models}'; }}
            }}
        }}
        """
    )
    command = ["taskset", "-c", str(core), "nginx", "-p", folder, "-c", folder / "nginx.conf"]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    with process(list(map(str, command)), environment, folder / "nginx.out"):
        wait_for(f"http://127.0.0.1:{port}/v1/models", 10)
        yield f"http://127.0.0.1:{port}"


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
    url: str, seconds: float, started: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and (started is None or started.poll() is None):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
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
