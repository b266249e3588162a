"""The page's way of pointing each client at the gateway, typed as it stands there, on the real engine."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.integration.clients.conftest import FOREIGN, Clients
from tests.integration.conftest import House

PAGE = (Path(__file__).parents[3] / "docs" / "openai.md").read_text()
SNIPPETS = {
    name: text for name, text in re.findall(r"^```(\w+ \w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
PROGRAMS = {"python": ["python"], "python litellm": [sys.executable], "js": ["node"], "sh": ["sh"]}


@pytest.mark.parametrize("name", [name for name in SNIPPETS if not name.startswith("yaml")])
def test_a_client_is_pointed_at_the_gateway_as_the_page_says(
    name: str, clients: Clients, gateway: House, request: pytest.FixtureRequest
) -> None:
    language, client = name.split()
    if client == "curl":
        request.getfixturevalue("curl")
    here = {key: text.replace("http://127.0.0.1:8080", gateway.gateway) for key, text in SNIPPETS.items()}
    (clients.home / "extra-openai-models.yaml").write_text(here["yaml llm"])
    (clients.home / "node_modules").symlink_to(FOREIGN / "node" / "node_modules")
    script = clients.home / f"ask.{'mjs' if language == 'js' else language}"
    script.write_text(here[name])
    said = clients.run(*PROGRAMS.get(name, PROGRAMS.get(language, [])), str(script))
    answer = json.loads(said)["choices"][0]["message"]["content"] if client == "curl" else said.strip()
    assert re.fullmatch(r"-?\d+", answer), said
