"""Hosted models through LiteLLM, with the face of `EngineClient`: OpenAI, Anthropic, Hugging Face, many more.

LiteLLM is imported when the first such model is made, told to stay off the network for its price list, and
used for one attempt per call: retries, caches and budgets belong to the callers, as with every engine.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson

from engine.chat import Delta, ModelCard, Reply, Usage, read_delta, read_reply, read_usage
from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineError,
    EngineNotFound,
    EngineNotInstalled,
    EngineRateLimited,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)
from engine.providers import KEY_VARIABLES, provider_of
from engine.translation import retry_after, without_key
from engine.waiting import DEFAULT_TIMEOUTS, Timeouts

# By name, because the classes exist only once LiteLLM is imported. Every exception it defines stands here.
FROM_LITELLM: Mapping[str, type[EngineError]] = {
    "APIConnectionError": EngineUnreachable,
    "APIError": EngineServerError,
    "APIResponseValidationError": EngineReplyInvalid,
    "AuthenticationError": EngineCredentialRefused,
    "BadGatewayError": EngineServerError,
    "BadRequestError": EngineRequestRefused,
    "BlockedPiiEntityError": EngineRequestRefused,
    "BudgetExceededError": EngineCredentialRefused,
    "ContentPolicyViolationError": EngineRequestRefused,
    "ContextWindowExceededError": ContextWindowExceeded,
    "GuardrailRaisedException": EngineRequestRefused,
    "ImageFetchError": EngineRequestRefused,
    "InternalServerError": EngineServerError,
    "InvalidRequestError": EngineRequestRefused,
    "JSONSchemaValidationError": EngineReplyInvalid,
    "LiteLLMUnknownProvider": EngineRequestRefused,
    "MidStreamFallbackError": EngineServerError,
    "MockException": EngineServerError,
    "ModelNotMappedError": EngineRequestRefused,
    "ModifyResponseException": EngineServerError,
    "NotFoundError": EngineRequestRefused,
    "OpenAIError": EngineServerError,
    "PaymentRequiredError": EngineCredentialRefused,
    "PermissionDeniedError": EngineCredentialRefused,
    "RateLimitError": EngineRateLimited,
    "RejectedRequestError": EngineRequestRefused,
    "SensitiveDataRouteException": EngineRequestRefused,
    "ServiceUnavailableError": EngineServerError,
    "Timeout": EngineTimeout,
    "UnprocessableEntityError": EngineRequestRefused,
    "UnsupportedParamsError": EngineRequestRefused,
    "VectorStoreSearchError": EngineRequestRefused,
}


class HostedClient:
    """One hosted model by LiteLLM's name for it, such as "openai/gpt-4.1-mini". Raises EngineNotInstalled.

    Without `key` LiteLLM looks for its provider's own variable (OPENAI_API_KEY, HF_TOKEN, ...). What
    the provider's API does not take is left out by LiteLLM.
    """

    def __init__(self, model: str, *, key: str | None = None, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> None:
        self.model = model
        self.url = f"litellm:{model}"
        self._key = key
        self._timeouts = timeouts
        self._litellm = _imported(model)
        defined = vars(self._litellm.exceptions)
        self._errors = tuple(defined[name] for name in FROM_LITELLM if name in defined)

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        """One chat completion."""
        answer = await self._ask(messages, params)
        return read_reply(answer.model_dump(), self.model, self.url)

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        """The same as pieces, as they arrive; the counts come last."""
        usage: Usage | None = None
        options = {"stream": True, "stream_options": {"include_usage": True}}
        async with aclosing(await self._ask(messages, {**params, **options})) as chunks:
            try:
                async for chunk in chunks:
                    event = chunk.model_dump()
                    usage = read_usage(event) or usage
                    if (delta := read_delta(event, self.url)) is not None:
                        yield delta
            except self._errors as exc:
                raise from_litellm(exc, self.model, self._key) from exc
        if usage is not None:
            # LiteLLM fills in a zero where the provider said nothing.
            yield Delta(usage=replace(usage, reasoning_tokens=usage.reasoning_tokens or None))

    async def models(self) -> list[ModelCard]:
        """The one model this client is for, with the context that LiteLLM's own list gives it."""
        provider, listed = provider_of(self.model), self._litellm.model_cost
        known = listed.get(self.model) or {}
        if not known and provider:
            # Models of the large providers are listed without the provider's name.
            bare = listed.get(self.model.removeprefix(f"{provider}/")) or {}
            known = bare if bare.get("litellm_provider") == provider else {}
        return [ModelCard(self.model, known.get("max_input_tokens"))]

    async def tokenize(self, messages: Sequence[object]) -> list[int] | None:
        """None: hosted models do not show their tokens."""
        return None

    async def close(self) -> None:
        """Nothing to close: LiteLLM keeps its connections for the whole process."""

    async def _ask(self, messages: Sequence[object], params: Mapping[str, object]) -> Any:
        # Fragments are JSON already; LiteLLM wants objects.
        plain = orjson.loads(orjson.dumps(list(messages)))
        limits = {"timeout": self._timeouts.total, "num_retries": 0, "max_retries": 0, "drop_params": True}
        try:
            async with asyncio.timeout(self._timeouts.total):
                return await self._litellm.acompletion(
                    model=self.model, messages=plain, api_key=self._key, **limits, **params
                )
        except TimeoutError as exc:
            raise EngineTimeout.in_phase(self.url, "total", self._timeouts.total) from exc
        except self._errors as exc:
            raise from_litellm(exc, self.model, self._key) from exc


def check_hosted(model: str, key: str | None) -> None:
    """Look, before anything is asked, whether LiteLLM can reach a model of this name.

    Raises:
        EngineNotInstalled: there is no LiteLLM.
        EngineNotFound: LiteLLM knows no such provider.
        EngineCredentialRefused: the provider's key is nowhere.
    """
    litellm = _imported(model)
    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.exceptions.BadRequestError:
        raise EngineNotFound(
            f"{model!r} is neither configured nor hosted: LiteLLM knows no such provider. A hosted model is "
            f"written provider/model, as 'huggingface/{model}'; one to run here: engine serve {model}"
        ) from None
    if key is not None:
        return
    missing = [name for name in litellm.validate_environment(model)["missing_keys"] if "API_BASE" not in name]
    if missing:
        names = " or ".join(KEY_VARIABLES[provider]) if provider in KEY_VARIABLES else ", ".join(missing)
        raise EngineCredentialRefused(
            f"The hosted model {model!r} needs a key: set {names} in the environment or in .env."
        )


def from_litellm(exc: BaseException, model: str, key: str | None = None) -> EngineError:
    """Our error for one of LiteLLM's, by the nearest class in the table, the key taken out of its text."""
    names = [base.__name__ for base in type(exc).__mro__]
    kind = next((FROM_LITELLM[name] for name in names if name in FROM_LITELLM), EngineServerError)
    # LiteLLM appends its own traceback where a provider's reply was not what it expected.
    said = str(exc).partition("\nTraceback")[0].strip() or type(exc).__name__
    sentence = f"The hosted model {model!r} did not answer: {without_key(said, key)}"
    if kind is EngineRateLimited:
        headers = getattr(getattr(exc, "response", None), "headers", None) or {}
        return EngineRateLimited(sentence, retry_after=retry_after(headers))
    status = getattr(exc, "status_code", None)
    if isinstance(status, int) and issubclass(kind, EngineServerError | EngineRequestRefused):
        return kind(sentence, status=status)
    return kind(sentence)


def _imported(model: str) -> Any:
    """LiteLLM. Raises EngineNotInstalled."""
    # Its price list would otherwise be fetched from the network while it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        litellm: Any = importlib.import_module("litellm")
        # Else it prints advice of its own where output of a command belongs.
        litellm.suppress_debug_info = True
        return litellm
    except ModuleNotFoundError as exc:
        if exc.name != "litellm":
            raise
        raise EngineNotInstalled(
            f"The hosted model {model!r} is reached through LiteLLM, which is not installed: "
            "pip install 'smallforge[hosted]'"
        ) from exc
