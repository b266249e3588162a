"""The public names for programs outside this repository."""

from __future__ import annotations

from programs.checks import is_one_of, matches, must_mention, satisfies
from programs.data import content_key, fingerprint, read_examples, read_rows
from programs.embedding import Embedder
from programs.embedding_endpoint import EmbeddingEndpoint
from programs.errors import (
    CheckFailed,
    DataInvalid,
    InputInvalid,
    LoweringImpossible,
    MetricError,
    ProgramError,
    ProgramInvalid,
    ProgramNotFound,
    ReleaseError,
    ReleaseInvalid,
    ReleaseNotFound,
    ReleaseNotWritten,
    ReplyUnparseable,
)
from programs.judged_metrics import judged_by_rubric
from programs.loading import load_program
from programs.measuring import Measured, measure
from programs.metrics import containment, exact_match, numeric_match, token_f1, weighted_sum
from programs.program import Chat, Metric, Program, Sampling, Split
from programs.similarity import semantic_similarity
from programs.text_metrics import critical_terms, length_ratio, marker_words

__all__ = [
    "Chat",
    "CheckFailed",
    "DataInvalid",
    "Embedder",
    "EmbeddingEndpoint",
    "InputInvalid",
    "LoweringImpossible",
    "Measured",
    "Metric",
    "MetricError",
    "Program",
    "ProgramError",
    "ProgramInvalid",
    "ProgramNotFound",
    "ReleaseError",
    "ReleaseInvalid",
    "ReleaseNotFound",
    "ReleaseNotWritten",
    "ReplyUnparseable",
    "Sampling",
    "Split",
    "containment",
    "content_key",
    "critical_terms",
    "exact_match",
    "fingerprint",
    "is_one_of",
    "judged_by_rubric",
    "length_ratio",
    "load_program",
    "marker_words",
    "matches",
    "measure",
    "must_mention",
    "numeric_match",
    "read_examples",
    "read_rows",
    "satisfies",
    "semantic_similarity",
    "token_f1",
    "weighted_sum",
]
