"""What the Dockerfile and the compose file would run, run in a folder instead of a container."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, OpenAI

from tests.deploy.image import ROOT, command, environment, of, services
from tests.gateway.serving import fingerprint_of, make_plan, put_release, wait_until
from tests.gateway.upstream import running_upstream
from tests.integration.conftest import free_port, running

BIN = Path(sys.executable).parent
ASK: Any = [{"role": "user", "content": "q"}]


@dataclass(frozen=True)
class Image:
    """The image's own root folder, with the addresses of what runs in it."""

    root: Path
    port: int
    metrics_port: int

    def inside(self, text: str) -> str:
        """The same with the image's paths and ports where they lie here."""
        moved = re.sub(r"(?<![\w.])/(opt|data|releases|requirements\.txt)\b", rf"{self.root}/\1", text)
        return moved.replace(":8080/", f":{self.port}/")

    def surroundings(self, **more: str) -> dict[str, str]:
        said = {name: self.inside(value) for name, value in environment().items()}
        said["PATH"] = said["PATH"].replace("$PATH", os.environ["PATH"])
        ports = {
            "SMALLFORGE_GATEWAY__PORT": str(self.port),
            "SMALLFORGE_GATEWAY__METRICS_PORT": str(self.metrics_port),
        }
        return {"HOME": f"{self.root}/data", **said, **ports, **more}

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.inside(word) for word in words],
            cwd=self.root / "data",
            env=self.surroundings(**more),
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def served(self, **more: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [*command("ENTRYPOINT"), *command("CMD")],
            cwd=self.root / "data",
            env=self.surroundings(**more),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: process.poll() is not None or self._answers(), 60)
            yield process
        finally:
            process.kill()
            process.communicate()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def is_healthy(self) -> bool:
        return self.run(*command("HEALTHCHECK")).returncode == 0


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Made by the very RUN lines; only the folder differs."""
    image = Image(tmp_path_factory.mktemp("image"), free_port(), free_port())
    shutil.copy(ROOT / "requirements" / "gateway.txt", image.root / "requirements.txt")
    for file in ("passwd", "group", "shadow", "gshadow"):
        (image.root / "etc").mkdir(exist_ok=True)
        (image.root / "etc" / file).touch()
    path = f"{BIN}:{os.environ['PATH']}"
    for line in of("RUN"):
        line = (
            image.inside(line)
            if "useradd" not in line
            else line.replace("useradd", f"useradd --prefix {image.root}")
        )
        subprocess.run(["sh", "-ec", line], env={**os.environ, "PATH": path}, check=True, cwd=image.root)
    for package in ("programs", "engine", "gateway"):
        shutil.copytree(ROOT / package, image.root / "opt/smallforge/app" / package)
    return image


def test_the_gateway_of_the_image_serves_whoever_has_a_key(image: Image) -> None:
    with running_upstream() as upstream:
        put_release(image.root / "releases", make_plan(), fingerprint_of(upstream.url))
        made = image.run(*command("ENTRYPOINT"), "keys", "create", "me")
        key = re.findall(r"\bsf-[\w-]+", made.stdout)[0]
        with image.served(SMALLFORGE_STUDENT=upstream.url) as process:
            assert image.is_healthy()
            with OpenAI(base_url=f"http://127.0.0.1:{image.port}/v1", api_key=key, max_retries=0) as client:
                answer = client.chat.completions.create(model="quiz", messages=ASK)
                assert answer.choices[0].message.content == "forty-two"
                with pytest.raises(AuthenticationError):
                    client.with_options(api_key="sf-none").chat.completions.create(model="quiz", messages=ASK)
            assert (
                "gateway_requests_total" in httpx.get(f"http://127.0.0.1:{image.metrics_port}/metrics").text
            )
            process.send_signal(getattr(signal, of("STOPSIGNAL")[-1]))
            _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert all(line.startswith('{"time":') for line in log.splitlines())
    assert not image.is_healthy()


def test_the_image_holds_nothing_that_only_a_build_needs(image: Image) -> None:
    asked = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
    heavy = ("dspy", "litellm", "torch", "mlflow", "pip", "setuptools")
    assert image.run("python", "-c", asked, *heavy).stdout.strip() == ""
    assert "smallforge:x:10001:" in (image.root / "etc" / "passwd").read_text()


def test_mlflow_takes_the_command_of_the_compose_file(tmp_path: Path) -> None:
    service, port = services()["mlflow"], free_port()
    words = [
        word.replace("/mlflow/", f"{tmp_path}/").replace("5000", str(port)) for word in service["command"]
    ]
    checking = [word.replace("5000", str(port)) for word in service["healthcheck"]["test"][1:]]
    with running(words, tmp_path, f"http://127.0.0.1:{port}/health", 120, service["environment"]):
        assert subprocess.run(checking).returncode == 0
        assert (tmp_path / "mlflow.db").exists()


def test_vllm_answers_the_health_check_of_the_compose_file(engine_url: str) -> None:
    checking = services()["vllm"]["healthcheck"]["test"][1:]
    assert (
        subprocess.run([word.replace("http://127.0.0.1:8000", engine_url) for word in checking]).returncode
        == 0
    )
