"""The public names for programs outside this repository, and for educators.

What stands on the compiler is imported when it is first named: a program's file needs none of that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from programs.call_metrics import calls_match
from programs.checks import is_one_of, matches, mentions_one_of, must_mention, satisfies
from programs.data import content_key, fingerprint, read_examples, read_rows
from programs.embedding import Embedder
from programs.embedding_endpoint import EmbeddingEndpoint
from programs.errors import (
    CheckFailed,
    DataInvalid,
    InputInvalid,
    LimitExceeded,
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
    RetrievalFailed,
)
from programs.judged_metrics import judged_by_rubric
from programs.loading import load_program
from programs.measuring import Measured, measure
from programs.metrics import containment, exact_match, numeric_match, token_f1, weighted_sum
from programs.program import Chat, Metric, Program, RunLimits, Sampling, Split
from programs.retrieval import Passage, Retriever, open_retriever
from programs.similarity import semantic_similarity
from programs.text_metrics import critical_terms, length_ratio, marker_words

if TYPE_CHECKING:
    from compiler.educators import PedagogicalTrainer

__all__ = [
    "Chat",
    "CheckFailed",
    "DataInvalid",
    "Embedder",
    "EmbeddingEndpoint",
    "InputInvalid",
    "LimitExceeded",
    "LoweringImpossible",
    "Measured",
    "Metric",
    "MetricError",
    "Passage",
    "PedagogicalTrainer",
    "Program",
    "ProgramError",
    "ProgramInvalid",
    "ProgramNotFound",
    "ReleaseError",
    "ReleaseInvalid",
    "ReleaseNotFound",
    "ReleaseNotWritten",
    "ReplyUnparseable",
    "RetrievalFailed",
    "Retriever",
    "RunLimits",
    "Sampling",
    "Split",
    "calls_match",
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
    "mentions_one_of",
    "must_mention",
    "numeric_match",
    "open_retriever",
    "read_examples",
    "read_rows",
    "satisfies",
    "semantic_similarity",
    "token_f1",
    "weighted_sum",
]

_LATER = {"PedagogicalTrainer": "compiler.educators"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
