"""A model that was downloaded is served on real vLLM by its name, with no hub to be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from openai import OpenAI

from engine.home import default_home
from engine.model_files import find_model
from engine.running import running_engines
from engine.student import bundled_student
from tests.compiler.hub_server import serving_hub
from tests.integration.conftest import BIN, free_port, running

MODEL = "acme/student"
NOWHERE = "http://127.0.0.1:9"


def test_a_downloaded_model_is_served_by_its_name_without_the_hub(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for file in bundled_student().iterdir():
        if file.suffix in (".json", ".safetensors"):
            shutil.copy(file, source)
    with serving_hub() as hub:
        hub.add(MODEL, source)
        surroundings = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        command = [str(BIN / "compiler"), "download", MODEL]
        done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == f"Now: engine serve {MODEL}\n"
    port = free_port()
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": NOWHERE, "HF_HOME": str(tmp_path / "home")}
    serve = ["engine", "serve", MODEL, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(serve, tmp_path, f"{url}/v1/models", 300, offline):
        with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
            question = "Anna has 12 apples. She buys 8 more. How many apples does Anna have now?"
            reply = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=32
            )
        (engine,) = (up for up in running_engines(default_home()) if up.url == url)
    assert reply.model == MODEL and reply.choices[0].message.content
    assert engine.weights == find_model(None).weights_digest()
