"""Hosted models through LiteLLM, against a real server that speaks OpenAI's protocol."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

# LiteLLM would look for its price list on the network while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm = pytest.importorskip("litellm")

from engine.client import ModelCard, Timeouts, Usage  # noqa: E402
from engine.errors import (  # noqa: E402
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineError,
    EngineRateLimited,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
)
from engine.hosted import FROM_LITELLM, HostedClient  # noqa: E402
from tests.engine.scripted_server import (  # noqa: E402
    DONE,
    USAGE,
    chunk,
    completion,
    never,
    replying,
    serving,
    streaming,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM and what it imports warn of their own insides

ASK = [{"role": "user", "content": "2 + 2?"}]


def client(timeouts: Timeouts | None = None) -> HostedClient:
    return HostedClient("openai/gpt-4.1-mini", key="sk-canary", timeouts=timeouts or Timeouts())


def test_every_exception_of_litellm_has_its_entry() -> None:
    defined = {
        name
        for name, kind in vars(litellm.exceptions).items()
        if inspect.isclass(kind)
        and issubclass(kind, BaseException)
        and kind.__module__ == "litellm.exceptions"
    }
    assert defined - set(FROM_LITELLM) == set()
    assert len(defined) > 25


async def test_a_hosted_model_completes_with_its_key_and_counts() -> None:
    async with serving(replying(completion())) as server:
        reply = await client().complete(ASK, {"api_base": server.url, "max_tokens": 9})
    assert (reply.text, reply.usage) == ("four", Usage(12, 3, 8))
    assert server.headers[0]["Authorization"] == "Bearer sk-canary"
    assert server.bodies[0]["max_tokens"] == 9


async def test_a_hosted_model_streams() -> None:
    parts = (chunk({"role": "assistant", "content": "fo"}), chunk({"content": "ur"}), chunk({}, "stop"))
    async with serving(streaming(*parts, USAGE, DONE)) as server:
        deltas = [delta async for delta in client().stream(ASK, {"api_base": server.url})]
    assert "".join(delta.text for delta in deltas) == "four"
    assert deltas[-1].usage == Usage(12, 2)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Incorrect API key", EngineCredentialRefused),
        (429, "slow down", EngineRateLimited),
        (400, "top_q is not a field", EngineRequestRefused),
        (400, "This model's maximum context length is 9 tokens", ContextWindowExceeded),
        (500, "broken", EngineServerError),
    ],
)
async def test_refusals_become_our_errors_asked_once_only(
    status: int, message: str, kind: type[EngineError]
) -> None:
    async with serving(replying({"error": {"message": message}}, status)) as server:
        with pytest.raises(kind) as caught:
            await client().complete(ASK, {"api_base": server.url})
    assert len(server.bodies) == 1 and "sk-canary" not in str(caught.value)


async def test_the_whole_call_is_limited() -> None:
    async with serving(never) as server:
        with pytest.raises(EngineTimeout):
            await client(Timeouts(total=0.2)).complete(ASK, {"api_base": server.url})


async def test_its_card_tells_the_context_and_tokens_stay_hidden() -> None:
    (card,) = await HostedClient("gpt-4.1-mini").models()
    assert card == ModelCard("gpt-4.1-mini", 1_047_576)
    assert await client().tokenize(ASK) is None


def test_without_litellm_the_command_to_install_it_is_named() -> None:
    code = (
        "import sys; sys.modules['litellm'] = None\n"
        "from engine.errors import EngineNotInstalled\n"
        "from engine.hosted import HostedClient\n"
        "try:\n    HostedClient('openai/x')\n"
        "except EngineNotInstalled as exc:\n    print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'smallforge[hosted]'" in done.stdout
