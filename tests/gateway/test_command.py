"""Tests for gateway/command.py: the real command in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.gateway.commanded import ASK, free_port, run, serving, surroundings
from tests.gateway.serving import fingerprint_of, make_plan, put_release, wait_until
from tests.gateway.upstream import Script, Upstream


def test_the_command_serves_a_folder_and_its_metrics(upstream: Upstream, tmp_path: Path) -> None:
    with serving(tmp_path, upstream) as served:
        reply = httpx.post(f"{served.url}/v1/chat/completions", json=ASK)
        assert reply.json()["choices"][0]["message"]["content"] == "forty-two"
        wait_until(lambda: "gateway_requests_total{" in httpx.get(served.metrics_url).text)
        served.process.send_signal(signal.SIGINT)
        out, err = served.ended(10)
    assert served.process.returncode == 0
    assert f"{served.url}/v1" in out and "quiz" in out
    assert "Traceback" not in err


def test_sigterm_ends_readiness_and_lets_requests_finish(upstream: Upstream, tmp_path: Path) -> None:
    with serving(tmp_path, upstream) as served, httpx.Client(base_url=served.url) as client:
        assert "connection" not in client.get("/readyz").headers
        upstream.reset(Script(seconds=3))
        replies: list[int] = []
        asker = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{served.url}/v1/chat/completions", json=ASK, timeout=20).status_code
            )
        )
        asker.start()
        wait_until(lambda: bool(upstream.asked))
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{served.url}/readyz").status_code == 503)
        assert client.get("/readyz").headers["connection"] == "close"
        assert httpx.get(f"{served.url}/readyz").json()["status"] == "draining"
        asker.join()
        served.ended(10)
    assert replies == [200]
    assert served.process.returncode == 0


def test_strict_refuses_what_would_be_ignored(upstream: Upstream, tmp_path: Path) -> None:
    with serving(tmp_path, upstream, "--strict") as served:
        reply = httpx.post(f"{served.url}/v1/chat/completions", json={**ASK, "user": "me"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "would_be_ignored")
        assert httpx.post(f"{served.url}/v1/chat/completions", json=ASK).status_code == 200


def test_a_taken_port_is_one_sentence(upstream: Upstream, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(tmp_path, "--student", upstream.url, "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "--port names another port" in ended.stderr and "Traceback" not in ended.stderr


def test_a_taken_metrics_port_is_one_sentence(upstream: Upstream, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(
            tmp_path, "--student", upstream.url, "--port", "0", "--metrics-port", str(taken.getsockname()[1])
        )
    assert ended.returncode == 2
    assert "--metrics-port names another port" in ended.stderr and "Traceback" not in ended.stderr


def test_a_mistake_in_the_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "smallforge.toml").write_text('student_check = "sometimes"\n')
    ended = run(tmp_path, "--config", "smallforge.toml")
    assert ended.returncode == 2
    assert "student_check" in ended.stderr and "Traceback" not in ended.stderr


def test_an_exposed_model_is_named_with_the_others(upstream: Upstream, tmp_path: Path) -> None:
    with serving(tmp_path, upstream, "--expose", "tiny") as served:
        body = {"model": "tiny", "messages": ASK["messages"]}
        assert httpx.post(f"{served.url}/v1/chat/completions", json=body).status_code == 200
        served.process.send_signal(signal.SIGINT)
        out, _ = served.ended(10)
    assert "quiz" in out and ", tiny" in out


def test_exposing_a_model_that_is_nowhere_is_one_sentence(upstream: Upstream, tmp_path: Path) -> None:
    flags = ("--student", upstream.url, "--port", "0", "--metrics-port", "0", "--expose", "large")
    ended = run(tmp_path, *flags)
    assert ended.returncode == 2
    assert "No engine has a model 'large' to expose" in ended.stderr and "Traceback" not in ended.stderr


def test_a_student_that_nobody_configured_is_one_sentence(upstream: Upstream, tmp_path: Path) -> None:
    fingerprint = fingerprint_of(upstream.url)
    put_release(tmp_path / "releases", make_plan(), fingerprint, student="nobody")
    ended = run(tmp_path, "--student", upstream.url, "--port", "0", "--metrics-port", "0")
    assert ended.returncode == 2
    assert "[students.nobody]" in ended.stderr and "Traceback" not in ended.stderr


SCRIPT = """
import sys
sys.argv = ["gateway", "serve", "--student", {url!r}, "--port", "{port}", "--metrics-port", "0"]
import threading, urllib.request, json, os, signal, time

def ask():
    body = json.dumps({ask!r}).encode()
    for _ in range(200):
        try:
            reply = urllib.request.urlopen("http://127.0.0.1:{port}/v1/chat/completions", body).read()
            break
        except OSError:
            time.sleep(0.05)
    print("ANSWER", json.loads(reply)["choices"][0]["message"]["content"], flush=True)
    heavy = {{"dspy", "litellm", "torch", "mlflow", "transformers", "sqlalchemy", "redis"}}
    print("HEAVY", sorted(heavy & set(sys.modules)), flush=True)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=ask).start()
from gateway.command import main
main()
"""


def test_the_default_path_imports_nothing_heavy(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    script = SCRIPT.format(url=upstream.url, port=free_port(), ask=ASK)
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=surroundings(),
        text=True,
        capture_output=True,
        timeout=40,
    )
    assert "ANSWER forty-two" in ended.stdout, ended.stderr
    assert "HEAVY []" in ended.stdout


@pytest.mark.parametrize("flag", ["--help"])
def test_help_names_every_flag(tmp_path: Path, flag: str) -> None:
    shown = run(tmp_path, flag).stdout
    for name in (
        "host",
        "port",
        "releases",
        "student",
        "config",
        "strict",
        "student-check",
        "expose",
        "allow-origin",
    ):
        assert f"--{name}" in shown
