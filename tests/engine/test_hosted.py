"""Hosted models through LiteLLM, against a real server that speaks OpenAI's protocol."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

# LiteLLM would look for its price list on the network while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

from engine.client import ModelCard, Timeouts, Usage
from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineError,
    EngineNotFound,
    EngineRateLimited,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
)
from engine.hosted import FROM_LITELLM, HostedClient, check_hosted, from_litellm
from engine.local import open_student
from engine.providers import KEY_VARIABLES, provider_of
from engine.settings import Settings
from tests.engine.scripted_server import (
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


async def test_a_hosted_model_is_opened_by_its_name_alone() -> None:
    settings = Settings(keys={"openai": "sk-canary"})
    async with open_student(settings, "openai/gpt-4.1-mini") as student:
        assert (student.name, student.client.model) == ("openai/gpt-4.1-mini", "openai/gpt-4.1-mini")
        assert student.context_tokens == 1_047_576 and student.fingerprint.prompt_tokens == ()
        async with serving(replying(completion())) as server:
            reply = await student.client.complete(ASK, {"api_base": server.url})
    assert reply.text == "four" and server.headers[0]["Authorization"] == "Bearer sk-canary"


@pytest.mark.parametrize(
    ("model", "variables"),
    [
        ("openai/gpt-4.1", "OPENAI_API_KEY"),
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("huggingface/Qwen/Qwen3-8B", "HF_TOKEN or HUGGINGFACE_API_KEY"),
        ("azure/mine", "AZURE_API_VERSION, AZURE_API_KEY"),
    ],
)
async def test_a_missing_key_is_told_by_the_variables_name_before_anything_is_asked(
    model: str, variables: str
) -> None:
    with pytest.raises(EngineCredentialRefused, match=f"{model!r} needs a key: set {variables} in the env"):
        async with open_student(Settings(), model):
            pass


def test_a_name_that_no_provider_has_is_told_what_to_write(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        EngineNotFound, match=r"as 'huggingface/Qwen/Qwen3-1\.7B'; one to run here: engine serve"
    ):
        check_hosted("Qwen/Qwen3-1.7B", None)
    assert capfd.readouterr() == ("", "")


def test_a_provider_without_keys_needs_none() -> None:
    check_hosted("ollama/llama3.2", None)


def test_the_table_of_keys_has_the_names_that_litellm_has() -> None:
    for provider, names in KEY_VARIABLES.items():
        model = f"{provider}/some-model"
        assert provider_of(model) == litellm.get_llm_provider(model)[1] == provider
        assert set(litellm.validate_environment(model)["missing_keys"]) & set(names), provider


def test_a_key_in_a_providers_words_does_not_come_through() -> None:
    said = litellm.exceptions.AuthenticationError("bad key sk-canary-1234", "openai", "gpt-4.1")
    told = str(from_litellm(said, "openai/gpt-4.1", "sk-canary-1234"))
    assert "sk-canary" not in told and "bad key (the key)" in told


async def test_litellms_own_traceback_is_not_shown() -> None:
    async with serving(replying(completion())) as server:
        with pytest.raises(EngineError) as caught:
            await HostedClient("anthropic/claude-haiku-4-5", key="sk-canary").complete(
                ASK, {"api_base": server.url}
            )
    assert "Traceback" not in str(caught.value) and "claude-haiku-4-5" in str(caught.value)
