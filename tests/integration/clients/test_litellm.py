"""LiteLLM as a client: one of its providers is whatever speaks OpenAI's protocol."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pydantic import BaseModel

# LiteLLM would look for its price list on the network while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

from tests.gateway.serving import RunningGateway

# It warns of types of its own.
pytestmark = pytest.mark.filterwarnings("default")


class Quiz(BaseModel):
    reasoning: str
    answer: str


def to(gateway: RunningGateway, question: str, model: str = "quiz") -> dict[str, Any]:
    return {
        "model": f"openai/{model}",
        "messages": [{"role": "user", "content": question}],
        "api_base": f"{gateway.url}/v1",
        "api_key": "any",
        "max_retries": 0,
    }


def test_an_answer_whole_and_streamed(scripted: RunningGateway) -> None:
    asked = to(scripted, "6 x 7?")
    reply: Any = litellm.completion(**asked)
    assert reply.choices[0].message.content == "forty-two" and reply.usage.completion_tokens > 0
    chunks: Any = litellm.completion(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "forty-two"


async def test_the_same_asynchronously(scripted: RunningGateway) -> None:
    reply: Any = await litellm.acompletion(**to(scripted, "6 x 7?"))
    assert reply.choices[0].message.content == "forty-two"


def test_an_answer_of_a_type(scripted: RunningGateway) -> None:
    reply: Any = litellm.completion(**to(scripted, "6 x 7?"), response_format=Quiz)
    assert Quiz.model_validate_json(reply.choices[0].message.content).answer == "forty-two"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("always busy", litellm.RateLimitError),
        ("too long", litellm.ContextWindowExceededError),
        ("", litellm.BadRequestError),
    ],
)
def test_each_failure_is_an_error_of_its_class(
    scripted: RunningGateway, question: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        litellm.completion(**to(scripted, question))


def test_an_unknown_model_is_not_found(scripted: RunningGateway) -> None:
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**to(scripted, "q", "nobody"))
