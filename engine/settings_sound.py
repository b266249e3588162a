"""What of the settings is sound though some are not, so that it can be looked at all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Place = tuple[int | str, ...]


def sound(values: Mapping[str, Any], wrong: Iterable[Place]) -> dict[str, Any]:
    """The values without those that are wrong, and without the tables within tables that hold such a one."""
    left: dict[str, Any] = dict(values)
    for place in wrong:
        left = _without(left, place[:2])
    return left


def is_sound(section: str, wrong: Iterable[Place]) -> bool:
    """Whether nothing in a section, as 'gateway.redis', is wrong, nor what it is in."""
    words = section.split(".")
    return not any(_begins_alike(words, [str(word) for word in place]) for place in wrong)


def _begins_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(mine == others for mine, others in zip(one, other, strict=False))


def _without(values: dict[str, Any], place: Place) -> dict[str, Any]:
    first, *rest = place
    inner = values.get(str(first))
    if rest and isinstance(inner, Mapping):
        return {**values, str(first): _without(dict(inner), tuple(rest))}
    return {name: value for name, value in values.items() if name != first}
