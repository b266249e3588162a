"""What can go wrong where models run. The tree:

    EngineError
    ├── EngineUnreachable            no connection, or the connection broke
    ├── EngineTimeout                a phase took longer than it was given
    ├── EngineRateLimited            the server asks for fewer requests
    ├── EngineServerError            the server failed (5xx)
    ├── EngineCredentialRefused      our key was not accepted
    ├── EngineRequestRefused         the server says the request is wrong
    │   └── ContextWindowExceeded    prompt and reply do not fit the model
    ├── EngineReplyInvalid           the reply is not what the protocol says
    │   └── EngineWrongModel         another model is there than the one asked for
    ├── EngineNotInstalled           nothing here can run or reach the model
    ├── EngineStartFailed            a local engine did not become ready
    ├── EngineNotFound               no local engine, model or student by that name
    └── SettingsInvalid              the configuration has mistakes

Class attributes: `reason` is a fixed word for metrics, `retryable` says whether the same request may succeed
later, `exit_code` is what a command ends with (2: the user can mend it, 1: they cannot).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

Phase = Literal["connect", "first_byte", "between", "total"]

_PHASES: dict[Phase, str] = {
    "connect": "to connect",
    "first_byte": "to begin its reply",
    "between": "between two parts of its reply",
    "total": "to finish its reply",
}


class EngineError(Exception):
    """Anything that keeps a model from answering; the text is one sentence for a person."""

    reason: ClassVar[str] = "engine"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class EngineUnreachable(EngineError):
    """No connection could be made, or it broke before the reply was complete."""

    reason: ClassVar[str] = "unreachable"
    retryable: ClassVar[bool] = True
    exit_code: ClassVar[int] = 2


class EngineTimeout(EngineError):
    """The phase named took longer than allowed; `seconds` is None when it was the server that gave up."""

    reason: ClassVar[str] = "timeout"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, phase: Phase = "total", seconds: float | None = None) -> None:
        super().__init__(message)
        self.phase = phase
        self.seconds = seconds

    @classmethod
    def in_phase(cls, url: str, phase: Phase, seconds: float) -> EngineTimeout:
        """The error for our own clock running out in `phase`."""
        sentence = f"The engine at {url} took more than {seconds:g} s {_PHASES[phase]}."
        return cls(sentence, phase=phase, seconds=seconds)


class EngineRateLimited(EngineError):
    """The server asks for fewer requests; `retry_after` is its own number of seconds, if it gave one."""

    reason: ClassVar[str] = "rate_limited"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineServerError(EngineError):
    """The server failed on its own side."""

    reason: ClassVar[str] = "server_error"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class EngineCredentialRefused(EngineError):
    """The key we send was refused, is missing, or its account may not do this."""

    reason: ClassVar[str] = "credential_refused"
    exit_code: ClassVar[int] = 2


class EngineRequestRefused(EngineError):
    """The server understood us and says the request is wrong; `status` is HTTP's, `said` its own words."""

    reason: ClassVar[str] = "request_refused"
    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, status: int = 400, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class ContextWindowExceeded(EngineRequestRefused):
    """The prompt and the reply asked for do not fit the model's context."""

    reason: ClassVar[str] = "context_window"


class EngineReplyInvalid(EngineError):
    """The reply does not follow OpenAI's protocol; the URL is probably not that of a model server."""

    reason: ClassVar[str] = "reply_invalid"


class EngineWrongModel(EngineReplyInvalid):
    """The server answers with another model than the one asked for, or has none by that name."""

    reason: ClassVar[str] = "wrong_model"
    exit_code: ClassVar[int] = 2


class EngineNotInstalled(EngineError):
    """What would run or reach the model is not installed; the text names the command that installs it."""

    reason: ClassVar[str] = "not_installed"
    exit_code: ClassVar[int] = 2


class EngineStartFailed(EngineError):
    """A local engine did not become ready; `log_tail` holds its own last lines."""

    reason: ClassVar[str] = "start_failed"

    def __init__(self, message: str, *, log_tail: Sequence[str] = ()) -> None:
        self.log_tail = tuple(log_tail)
        super().__init__("\n".join([message, *(f"  | {line}" for line in self.log_tail)]))


class EngineNotFound(EngineError):
    """No local engine, model or student answers to the name that was given."""

    reason: ClassVar[str] = "not_found"
    exit_code: ClassVar[int] = 2


class SettingsInvalid(EngineError):
    """The configuration has mistakes; `mistakes` holds one sentence for each."""

    reason: ClassVar[str] = "settings_invalid"
    exit_code: ClassVar[int] = 2

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        if len(self.mistakes) == 1:
            super().__init__(f"The configuration has a mistake: {self.mistakes[0]}")
        else:
            lines = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
            super().__init__(f"The configuration has {len(self.mistakes)} mistakes:\n{lines}")
