"""How the gateway tells what it does: the form of its log, and where its traces go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning"]
_TRACES = "/v1/traces"


@dataclass(frozen=True)
class TelemetrySettings:
    """Where traces go, if anywhere; `sample` is the share that is kept where the client did not decide.

    Without it OpenTelemetry's own variables decide. With `content` spans hold prompts and answers.
    """

    endpoint: str | None = None
    sample: float | None = None
    content: bool = False

    @property
    def traces_url(self) -> str | None:
        """OpenTelemetry's path at the endpoint, where it is not named already."""
        return self.endpoint and self.endpoint.rstrip("/").removesuffix(_TRACES) + _TRACES


class Telemetry(BaseModel):
    """[gateway.telemetry]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = None
    sample: Annotated[float, Field(ge=0, le=1)] | None = None
    content: bool = False


def telemetry_mistakes(telemetry: Telemetry) -> Iterator[str]:
    place, endpoint = "gateway.telemetry", telemetry.endpoint
    if endpoint is None:
        if telemetry.sample is not None or telemetry.content:
            yield f"{place}: without an endpoint nothing is traced; write endpoint = 'http://127.0.0.1:4318'"
    elif urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        yield f"{place}.endpoint: {endpoint!r} is no address; write for example 'http://127.0.0.1:4318'"
