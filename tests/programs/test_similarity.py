from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dspy
import pytest

from programs.embedding import Embedder
from programs.errors import MetricError, ProgramInvalid
from programs.measuring import Measured, measure
from programs.metrics import exact_match, weighted_sum
from programs.similarity import semantic_similarity

VECTORS = {"cat": [1.0, 0.0], "kitten": [1.6, 1.2], "dog": [-1.0, 0.0], "car": [0.0, 2.0], "": [0.0, 0.0]}


class Words:
    """An embedder of five words."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [VECTORS[text] for text in texts]


def alike(labelled: object, predicted: object, trace: object = None) -> Measured:
    metric = semantic_similarity("answer", Words())
    example, prediction = dspy.Example(answer=labelled), dspy.Prediction(answer=predicted)
    return asyncio.run(measure(metric, example, prediction, trace))


@pytest.mark.parametrize(
    ("labelled", "predicted", "score"),
    [("cat", "cat", 1), ("cat", "kitten", 0.8), ("cat", "car", 0), ("cat", "dog", 0), ("cat", "", 0)],
)
def test_the_score_is_the_cosine_from_zero(labelled: str, predicted: str, score: float) -> None:
    assert alike(labelled, predicted).score == pytest.approx(score)


def test_the_nearest_of_several_labels_counts_and_a_miss_names_it() -> None:
    found = alike(["car", "kitten"], "cat")
    assert found.score == pytest.approx(0.8)
    lack = alike(["dog", "car"], "kitten")
    assert lack.feedback == "answer: means something else than 'car' (similarity 0.60), got 'kitten'"


def test_a_missing_answer_scores_nothing_and_near_enough_is_yes() -> None:
    assert alike("cat", None).score == 0
    assert [alike("cat", said, trace=[]).score for said in ("cat", "kitten", "car")] == [1, 1, 0]


def test_it_can_be_a_part_of_a_sum() -> None:
    metric = weighted_sum((semantic_similarity("answer", Words()), 1), (exact_match("answer"), 1))
    found = asyncio.run(measure(metric, dspy.Example(answer="cat"), dspy.Prediction(answer="kitten")))
    assert found.score == pytest.approx(0.4)
    assert found.parts["semantic_similarity(answer)"] == pytest.approx(0.8)


def test_without_an_embedder_the_error_says_what_to_give() -> None:
    nothing: Embedder = None  # type: ignore[assignment]
    with pytest.raises(ProgramInvalid, match="EmbeddingEndpoint"):
        semantic_similarity("answer", nothing)


def test_a_plain_call_says_how_to_ask() -> None:
    with pytest.raises(MetricError, match=r"await programs\.measuring\.measure"):
        semantic_similarity("answer", Words())(dspy.Example(answer="cat"), dspy.Prediction(answer="cat"))


def test_vectors_of_two_models_are_refused() -> None:
    class Mixed:
        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            return [[1.0] * (n + 1) for n, _ in enumerate(texts)]

    metric = semantic_similarity("answer", Mixed())
    with pytest.raises(MetricError, match="1 and 2 numbers"):
        asyncio.run(measure(metric, dspy.Example(answer="cat"), dspy.Prediction(answer="cat")))
