"""How long a program's prompts are, part by part: what each demonstration costs in tokens is plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from compiler.candidate import PLAIN, Candidate
from compiler.evaluation.contenders import Tested
from compiler.room import Room, Sizes
from compiler.window import Counting


@dataclass(frozen=True)
class Lengths:
    """Tokens of one program's prompts; None where nobody counts them.

    The parts that never change are counted, `request` and `reply` are what was measured on the test examples.
    """

    system: int | None
    demonstrations: tuple[int | None, ...]
    request_mean: float | None
    request_max: int | None
    reply_mean: float | None
    counting: Counting

    def as_dict(self) -> dict[str, Any]:
        told = asdict(self)
        request = {"mean": told.pop("request_mean"), "max": told.pop("request_max")}
        reply = told.pop("reply_mean")
        return {**told, "request": request, "reply": reply}

    def describe(self) -> str:
        system = "unknown" if self.system is None else f"{self.system}"
        shown = [size for size in self.demonstrations if size is not None]
        worked = "no demonstrations"
        if shown:
            each = f"{min(shown)}" if min(shown) == max(shown) else f"{min(shown)} to {max(shown)}"
            worked = f"{len(shown)} demonstration{'s' if len(shown) > 1 else ''} of {each}"
        request = (
            "unknown" if self.request_mean is None else f"{self.request_mean:.0f} (max {self.request_max})"
        )
        reply = "unknown" if self.reply_mean is None else f"{self.reply_mean:.0f}"
        return f"instructions {system}, {worked}, request {request}, reply {reply}"


async def measure_lengths(
    room: Room | None, candidate: Candidate, tested: Sequence[Tested]
) -> dict[str, Lengths]:
    """Of the unoptimised program, the first tested, and the compiled one, the last."""
    plain = [answer.prompt_tokens for answer in tested[0].answers]
    asked = [tokens for tokens in plain if tokens is not None]
    # What the unoptimised program's prompts hold beside its instructions is the request.
    before = None if room is None else (await room.sizes(PLAIN)).total
    mean = fmean(asked) - before if asked and before is not None else None
    longest = max(asked) - before if asked and before is not None else None
    lengths = {}
    for name, one, answers in (
        ("before", PLAIN, tested[0].answers),
        ("after", candidate, tested[-1].answers),
    ):
        sizes = Sizes(None, ()) if room is None else await room.sizes(one)
        said = [answer.completion_tokens for answer in answers if answer.completion_tokens is not None]
        counting: Counting = "reckoned" if room is None else room.counting
        reply = fmean(said) if said else None
        lengths[name] = Lengths(sizes.system, tuple(sizes.demonstrations), mean, longest, reply, counting)
    return lengths
