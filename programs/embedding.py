"""Embedders: texts become vectors, and texts that say alike things lie near each other.

One that a release stores is named, learnt on the training rows and described by plain data; the built-in one
asks no model and reaches no network. Knows nothing of plans or demonstrations.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import ConfigDict, TypeAdapter, ValidationError

from programs.errors import ReleaseInvalid

PRECISION: Final = 4  # decimals of every number that a release stores
WIDEST = 8_192

_STRICT = ConfigDict(extra="forbid", strict=False)
_WORD = re.compile(r"\w+")


class Embedder(Protocol):
    """Gives one vector for each text, all of the same width."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]: ...


class LearntEmbedder(Embedder, Protocol):
    """An embedder that a release can store: made from texts once, later from what `as_dict` gave."""

    @property
    def width(self) -> int: ...
    def as_dict(self) -> dict[str, Any]: ...


class EmbedderKind(Protocol):
    """How embedders of one name are made."""

    def learn(self, texts: Sequence[str]) -> LearntEmbedder: ...
    def read(self, data: Mapping[str, Any]) -> LearntEmbedder: ...


@dataclass(frozen=True)
class HashedNgrams:
    """Words and the character trigrams and quadrigrams in them, hashed with a sign into `WIDTH` numbers.

    A number is 1 + log of how often its features occur, weighted by how rare they were in the texts learnt
    from. Only the `STRONGEST` numbers stay, which keeps a search among thousand texts near one millisecond;
    the vector has length 1.
    """

    __pydantic_config__ = _STRICT
    WIDTH: ClassVar[int] = 2_048
    STRONGEST: ClassVar[int] = 64
    READ: ClassVar[int] = 4_000
    """Characters of a text that count: what a stranger sends must not take long."""

    rarity: Annotated[tuple[Annotated[float, Ge(0), Le(100)], ...], MinLen(WIDTH), MaxLen(WIDTH)]
    name: Literal["hashed-ngrams"] = "hashed-ngrams"

    @property
    def width(self) -> int:
        return self.WIDTH

    @classmethod
    def learn(cls, texts: Sequence[str]) -> HashedNgrams:
        """Features that no text has, or more than half of them, say nothing about nearness and weigh 0."""
        found = Counter(place for text in texts for place in _features(text, cls.WIDTH))
        rarity = [
            round(math.log((1 + len(texts)) / (1 + found[place])), PRECISION)
            if 0 < found[place] <= len(texts) / 2
            else 0.0
            for place in range(cls.WIDTH)
        ]
        return cls(tuple(rarity))

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> HashedNgrams:
        return _HASHED_NGRAMS.validate_python(dict(data))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        weights = {
            place: math.copysign(1 + math.log(abs(count)), count) * self.rarity[place]
            for place, count in _features(text, self.WIDTH).items()
            if count and self.rarity[place]
        }
        strongest = sorted(weights, key=lambda place: (-abs(weights[place]), place))[: self.STRONGEST]
        length = math.sqrt(sum(weights[place] ** 2 for place in strongest))
        vector = [0.0] * self.WIDTH
        for place in strongest:
            vector[place] = weights[place] / length
        return vector


_HASHED_NGRAMS = TypeAdapter(HashedNgrams)
EMBEDDERS: Mapping[str, EmbedderKind] = {"hashed-ngrams": HashedNgrams}


def read_embedder(data: Mapping[str, Any]) -> LearntEmbedder:
    """The embedder that a release describes.

    Raises:
        ReleaseInvalid: its name is unknown here, or its description is not of its kind.
    """
    kind = EMBEDDERS.get(str(data.get("name")))
    if kind is None:
        raise ReleaseInvalid(
            f"embedder {data.get('name')!r} is unknown here: known are {', '.join(EMBEDDERS)}"
        )
    try:
        return kind.read(data)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ReleaseInvalid(f"embedder {data['name']!r}: {where}: {found['msg']}") from error


def _features(text: str, width: int) -> dict[int, int]:
    """How often each place is hit, up or down; Python's own hash differs from process to process."""
    counts: dict[int, int] = {}
    for word, times in Counter(_WORD.findall(text[: HashedNgrams.READ].casefold())).items():
        edged = f" {word} "
        grams = (edged[at : at + size] for size in (3, 4) for at in range(len(edged) - size + 1))
        for feature in (word, *grams):
            hashed = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
            place = hashed % width
            counts[place] = counts.get(place, 0) + (times if hashed < 1 << 31 else -times)
    return counts
