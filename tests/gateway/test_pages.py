"""The documentation's tables against the tables that the gateway runs on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.errors import UPSTREAM
from gateway.policy import OPENAI, OURS, TOOLS, VLLM, FieldPolicy
from gateway.responses_policy import RESPONSES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NODE = ROOT / "tests" / "integration" / "clients" / "foreign" / "node"


def rows(fields: dict[str, FieldPolicy]) -> str:
    shown = [f"| `{name}` | {policy.treatment} | {policy.note} |" for name, policy in sorted(fields.items())]
    return "\n".join(["| Field | Policy | |", "|---|---|---|", *shown])


def test_the_page_shows_the_policy_of_every_field() -> None:
    page = (DOCS / "openai.md").read_text()
    for fields in (OPENAI, VLLM, OURS, TOOLS, RESPONSES):
        assert rows(fields) in page


def test_the_page_names_every_code_that_an_engine_can_cause() -> None:
    page = (DOCS / "gateway.md").read_text()
    assert all(f"`{answer.code}`" in page for answer in UPSTREAM.values())


@pytest.mark.parametrize(
    ("client", "locks"),
    [
        ("openai", ("clients", "dev")),
        ("langchain-openai", ("clients",)),
        ("langchain-tests", ("clients",)),
        ("litellm", ("dev",)),
        ("instructor", ("clients",)),
        ("llm", ("clients",)),
        ("schemathesis", ("clients",)),
    ],
)
def test_the_page_names_the_versions_of_the_clients_that_are_tested(
    client: str, locks: tuple[str, ...]
) -> None:
    pinned = [(ROOT / "requirements" / f"{lock}.txt").read_text() for lock in locks]
    versions = [found[1] for text in pinned if (found := re.search(rf"^{client}==(\S+)", text, re.MULTILINE))]
    rows = [row for row in (DOCS / "openai.md").read_text().splitlines() if f"`{client}`" in row]
    assert versions and any(all(version in row for version in versions) for row in rows)


def test_the_page_names_the_version_of_openais_client_for_node() -> None:
    pinned = json.loads((NODE / "package.json").read_text())["dependencies"]["openai"]
    assert f"| `openai` for Node | {pinned} |" in (DOCS / "openai.md").read_text()
