"""The documentation's tables against the tables that the gateway runs on."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import UPSTREAM
from gateway.policy import OPENAI, OURS, TOOLS, VLLM, FieldPolicy
from gateway.responses_policy import RESPONSES

DOCS = Path(__file__).parents[2] / "docs"


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
