"""Which model answers at a URL, told by what any server gives: how many tokens it makes of eight fixed chats.

The counts depend on tokenizer and chat template together; vLLM's token ids pin both exactly; the digest of a
directory that we launched pins the weights too. What a server can't tell is None, and None equals everything.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import orjson

from engine.chat import Reply
from engine.errors import EngineReplyInvalid

MismatchKind = Literal["template", "weights"]

# Never to be changed: releases hold what these gave. Each asks something else of tokenizer and template:
# roles, several turns, digits, punctuation, other scripts, blank lines, code, text like a template's.
CONVERSATIONS: tuple[tuple[Mapping[str, str], ...], ...] = (
    ({"role": "user", "content": "Name one colour of the sky."},),
    (
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": "Why does bread rise?"},
    ),
    (
        {"role": "user", "content": "I have 3 apples."},
        {"role": "assistant", "content": "Good. What do you want to know?"},
        {"role": "user", "content": "How many are left if I eat 2 of them?"},
    ),
    ({"role": "user", "content": "Add 7, 42, 999, 1000, 65536 and 3.14159; then take 10 % off."},),
    ({"role": "user", "content": "Größe, naïve, дом, 水, שלום, 🙂."},),
    (
        {"role": "system", "content": "Keep lines as they are.\n\nEven empty ones."},
        {"role": "user", "content": "first\n\n\n  third, indented\n\tfifth, after a tab\n"},
    ),
    ({"role": "user", "content": "def area(width, height):\n    return width * height  # {'unit': \"m2\"}"},),
    ({"role": "user", "content": "<|user|> [INST] ### Question: [[ ## field ## ]] </s> {{ name }}"},),
)

_ONE_TOKEN: Mapping[str, object] = {"max_tokens": 1, "temperature": 0}


class Countable(Protocol):
    """What a fingerprint is taken of."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply: ...


@dataclass(frozen=True)
class Fingerprint:
    """`prompt_tokens` has one count per conversation; `token_ids` and `weights` are SHA-256 digests."""

    prompt_tokens: tuple[int, ...]
    token_ids: str | None = None
    weights: str | None = None

    def as_dict(self) -> dict[str, object]:
        """As plain JSON."""
        return {
            "prompt_tokens": list(self.prompt_tokens),
            "token_ids": self.token_ids,
            "weights": self.weights,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Fingerprint:
        """The fingerprint that `as_dict` wrote. Raises ValueError for anything else."""
        counts, texts = data.get("prompt_tokens"), (data.get("token_ids"), data.get("weights"))
        if set(data) - {"prompt_tokens", "token_ids", "weights"}:
            raise ValueError(f"a fingerprint has unknown fields: {sorted(data)}")
        if not isinstance(counts, Sequence) or not all(type(count) is int for count in counts):
            raise ValueError(f"a fingerprint's prompt_tokens are a list of integers, not {counts!r}")
        if not all(text is None or isinstance(text, str) for text in texts):
            raise ValueError(f"a fingerprint's digests are texts or null, not {texts!r}")
        return cls(tuple(counts), *cast(tuple[str | None, str | None], texts))


@dataclass(frozen=True)
class Mismatch:
    """One difference between the model a release was built for and the one that answers now."""

    kind: MismatchKind
    sentence: str


async def take_fingerprint(client: Countable, weights: str | None = None) -> Fingerprint:
    """Ask the server. `weights` is the digest of the directory behind it, if we launched it.

    Raises EngineReplyInvalid where a server does not count tokens.
    """
    first, *others = CONVERSATIONS
    # The first alone: LM Studio, asked several things at once of a model that is not loaded yet, loads it
    # several times (lmstudio-ai/lmstudio-bug-tracker#1751).
    replies = [await client.complete(first, _ONE_TOKEN)]
    replies += await asyncio.gather(*(client.complete(chat, _ONE_TOKEN) for chat in others))
    counts = [reply.usage.prompt_tokens for reply in replies if reply.usage is not None]
    if len(counts) < len(CONVERSATIONS):
        raise EngineReplyInvalid(
            f"The model {replies[0].model!r} does not report `usage.prompt_tokens`; a student has to."
        )
    return Fingerprint(tuple(counts), await _token_ids(client), weights)


def fingerprint_of_name(model: str) -> Fingerprint:
    """A hosted model's: its provider shows neither tokens nor weights, so its name has to stand for both."""
    return Fingerprint((), None, hashlib.sha256(f"hosted:{model}".encode()).hexdigest())


def compare(expected: Fingerprint, actual: Fingerprint) -> list[Mismatch]:
    """What differs, with both values; empty when it is the same model as far as both can tell."""
    mismatches = []
    if expected.prompt_tokens != actual.prompt_tokens:
        was, now = list(expected.prompt_tokens), list(actual.prompt_tokens)
        mismatches.append(_template(f"it made {was} tokens of the eight fixed conversations, now {now}"))
    elif _differ(expected.token_ids, actual.token_ids):
        mismatches.append(_template(f"token ids were {expected.token_ids}, now {actual.token_ids}"))
    if _differ(expected.weights, actual.weights):
        sentence = f"Other weights: their digest was {expected.weights}, now {actual.weights}."
        mismatches.append(Mismatch("weights", sentence))
    return mismatches


def _template(difference: str) -> Mismatch:
    return Mismatch("template", f"Another tokenizer or chat template: {difference}.")


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


async def _token_ids(client: Countable) -> str | None:
    """The digest over all ids; None where the client or its server can't tokenize chats."""
    tokenize = getattr(client, "tokenize", None)
    if tokenize is None:
        return None
    ids = [await tokenize(chat) for chat in CONVERSATIONS]
    return None if None in ids else hashlib.sha256(orjson.dumps(ids)).hexdigest()
