"""Asks a DSPy module again after an answer that broke a check: the same run, with the reason at one place.

A module is code and may call its predictors as it likes, so there is no one chat to go on with. The whole
module runs again, and one of its predictors finds at the end of its request what it said and why that
can't be accepted. At temperature 0 every call before that one gives what it gave.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import dspy

from programs.adapter import ProgramAdapter
from programs.checks import ASK_AGAIN
from programs.plan import neutralise


class PredictorCall(NamedTuple):
    """One entry of a trace as DSPy records it."""

    predictor: dspy.Predict
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


class SecondTry(ProgramAdapter):
    """Adds to the requests of one predictor what it said before, and the reasons against it."""

    def __init__(self, call: PredictorCall, reasons: Sequence[str]) -> None:
        super().__init__()
        self._signature = call.predictor.signature
        form = self.user_message_output_requirements(self._signature)
        again = ASK_AGAIN.format(reasons=neutralise("; ".join(reasons)), form=form)
        said = self.format_assistant_message_content(self._signature, neutralise(dict(call.outputs)))
        self._turn = [{"role": "assistant", "content": said}, {"role": "user", "content": again}]

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        messages = super().format(signature, demos, inputs)
        return [*messages, *self._turn] if self._is_asked_again(signature) else messages

    def _is_asked_again(self, signature: type[dspy.Signature]) -> bool:
        # DSPy takes fields out that a model answers natively; the rest stays the predictor's.
        same_task: bool = signature.instructions == self._signature.instructions
        return same_task and signature.fields.keys() <= self._signature.fields.keys()


def call_to_repeat(trace: Sequence[Any], fields: Collection[str]) -> PredictorCall | None:
    """The last call that wrote one of the fields, else the last call; None where a run made none."""
    calls = [PredictorCall(*entry) for entry in trace]
    writers = [call for call in calls if not call.predictor.signature.output_fields.keys().isdisjoint(fields)]
    return next(iter(reversed(writers or calls)), None)
