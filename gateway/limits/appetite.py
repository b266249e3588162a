"""How many tokens a request may take, told before it runs.

The gateway has no tokenizers: a text is taken for a token to every four bytes, as OpenAI does for its limits.
Replies are taken for as long as they may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from engine.chat import Usage
from programs.plan import Plan
from programs.program import Sampling
from programs.release import Release

_BYTES = 4
_UNBOUNDED = 1024  # tokens of a reply that nothing bounds
_BOUNDS = ("max_completion_tokens", "max_tokens", "n_predict")
_NONSENSE = 2**31  # the engine refuses numbers like that
_SAMPLING = Sampling()


class Appetite(NamedTuple):
    """Tokens of prompts, and the most that replies may have."""

    prompt: int
    completion: int

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion

    def usage(self) -> Usage:
        return Usage(self.prompt, self.completion)


class RunAppetite(NamedTuple):
    """What a run of a release takes whatever it is asked: its calls, the constant part of their prompts, and
    the most that their replies may have together.
    """

    calls: int
    prompt: int
    completion: int

    def of(self, size: int, runs: int, most: int | None) -> Appetite:
        """That of a request of `size` bytes, whose runs may write at most `most` tokens each."""
        written = self.completion if most is None else min(self.completion, most)
        return Appetite(runs * (self.prompt + self.calls * tokens_of(size)), runs * written)


def most_written(body: Mapping[str, Any]) -> int:
    """Tokens that a request for an engine's own model may have written, as far as it says how many.

    Of several bounds the largest counts: which of them an engine reads depends on the engine and the path.
    """
    most = max(_count(body.get(name)) for name in _BOUNDS) or _UNBOUNDED
    answers = max(_count(body.get("n")), _count(body.get("best_of")), 1)
    return most * answers * len(prompts_of(body))


def prompts_of(body: Mapping[str, Any], name: str = "prompt") -> Sequence[object]:
    """What is to be gone on with, each by itself; one prompt may be a text or a list of tokens."""
    given = body.get(name)
    if isinstance(given, list) and given and isinstance(given[0], str | list):
        return given
    return [given]


def _count(value: object) -> int:
    """A number as it stands in a body that nobody has checked; 0 is none."""
    return value if isinstance(value, int) and 0 < value < _NONSENSE else 0


def tokens_of(size: int) -> int:
    return size // _BYTES + 1


def appetite_of(release: Release) -> RunAppetite:
    """Steps that only some runs take, such as a second try after a failed check, are not foreseen."""
    if release.neighbours is not None:
        plan, shown = release.neighbours.plan, release.neighbours.k
        demos = release.neighbours.demonstrations
        size = (
            sum(len(said.content.encode()) for demo in demos for said in demo.messages)
            * shown
            // max(len(demos), 1)
        )
        return RunAppetite(1, tokens_of(_constant(plan) + size), plan.sampling.max_tokens)
    if release.ensemble is not None:
        return _together([_of_plan(plan) for plan in release.ensemble.members])
    if release.plan is not None:
        return _of_plan(release.plan)
    return _of_state(release)


def _of_plan(plan: Plan) -> RunAppetite:
    return RunAppetite(1, tokens_of(_constant(plan)), plan.sampling.max_tokens)


def _constant(plan: Plan) -> int:
    return sum(len(message.content.encode()) for message in plan.prefix) + len(plan.reminder.encode())


def _together(parts: list[RunAppetite]) -> RunAppetite:
    return RunAppetite(*map(sum, zip(*parts, strict=True)))


def _of_state(release: Release) -> RunAppetite:
    """A module asks each of its predictors once, as far as its state tells."""
    state, interpreted = release.state or {}, release.identity.interpreted
    sampling = interpreted.sampling if interpreted is not None else _SAMPLING
    calls = max(len(state), 1)
    return RunAppetite(calls, tokens_of(len(orjson.dumps(state))), calls * sampling.max_tokens)
