"""A metric of meaning: how near an answer's vector lies to its label's, whatever words it uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from programs.comparison import shown
from programs.embedding import Embedder
from programs.errors import MetricError, ProgramInvalid
from programs.measuring import Measured
from programs.metrics import yes_or_no

if TYPE_CHECKING:
    import dspy

    from programs.execution import Model


@dataclass(frozen=True)
class SimilarityMetric:
    """The cosine between the vectors of output and label, from 0; of several labels the nearest counts."""

    name: str
    field: str
    embedder: Embedder
    good_enough: float

    @property
    def labels(self) -> tuple[str, ...]:
        """Fields that a row must have for it to be scored."""
        return (self.field,)

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        raise MetricError(
            f"the metric {self.name!r} asks an embedder, which a plain call can't: await "
            "programs.measuring.measure(metric, example, prediction)"
        )

    async def measured(
        self, example: dspy.Example, prediction: dspy.Prediction, trace: Any, judge: Model | None
    ) -> Measured:
        predicted, labelled = prediction.get(self.field), example[self.field]
        if predicted is None:
            return Measured(0.0, feedback=f"{self.field}: there is none")
        labels = labelled if isinstance(labelled, list) and not isinstance(predicted, list) else [labelled]
        said, *vectors = await self.embedder.embed([_text(predicted), *map(_text, labels)])
        scores = [_cosine(said, vector) for vector in vectors]
        score = max(scores, default=0.0)
        lack = ""
        if score < self.good_enough and labels:
            nearest = labels[scores.index(score)]
            lack = f"{self.field}: means something else than {shown(nearest)} (similarity {score:.2f}), got "
            lack += shown(predicted)
        return yes_or_no(Measured(score, feedback=lack), self.good_enough, trace)


def semantic_similarity(field: str, embedder: Embedder, *, good_enough: float = 0.8) -> SimilarityMetric:
    """How alike output and label are in meaning, as the embedder sees it.

    `EmbeddingEndpoint(url, model)` asks a server; any object with `async embed(texts)` will do.
    """
    if not callable(getattr(embedder, "embed", None)):
        raise ProgramInvalid(
            f"semantic_similarity({field!r}) got {embedder!r} for its embedder: give EmbeddingEndpoint(url, "
            "model), or any object with `async def embed(texts)`"
        )
    return SimilarityMetric(f"semantic_similarity({field})", field, embedder, good_enough)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        raise MetricError(f"the embedder gave vectors of {len(one)} and {len(other)} numbers: use one model")
    size = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, sum(a * b for a, b in zip(one, other, strict=True)) / size)) if size else 0.0


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
