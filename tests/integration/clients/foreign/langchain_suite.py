"""LangChain's standard tests of a chat model, for its ChatOpenAI in front of the gateway.

The unit tests look at ChatOpenAI alone, pointed at a gateway; the integration tests ask the one at GATEWAY,
whose program `joking` takes tools and has the two outputs that those tests want as an object.
"""

from __future__ import annotations

import os
from typing import Any

from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests


class TestClass(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "joking", "base_url": "http://127.0.0.1:8080/v1", "api_key": "any"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"OPENAI_API_KEY": "any", "OPENAI_API_BASE": "http://127.0.0.1:8080/v1"},
            {"model": "joking"},
            {"openai_api_key": "any", "openai_api_base": "http://127.0.0.1:8080/v1"},
        )


class TestProgram(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "joking",
            "base_url": os.environ["GATEWAY"] + "/v1",
            "api_key": "any",
            "stream_usage": True,
        }

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "quiz"
