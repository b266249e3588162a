"""The public names for programs outside this repository."""

from __future__ import annotations

from programs.data import content_key, fingerprint, read_examples, read_rows
from programs.errors import (
    DataInvalid,
    InputInvalid,
    LoweringImpossible,
    ProgramError,
    ProgramInvalid,
    ProgramNotFound,
    ReleaseError,
    ReleaseInvalid,
    ReleaseNotFound,
    ReleaseNotWritten,
    ReplyUnparseable,
)
from programs.loading import load_program
from programs.metrics import containment, exact_match, numeric_match, token_f1, weighted_sum
from programs.program import Chat, Metric, Program, Sampling, Split

__all__ = [
    "Chat",
    "DataInvalid",
    "InputInvalid",
    "LoweringImpossible",
    "Metric",
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
    "exact_match",
    "fingerprint",
    "load_program",
    "numeric_match",
    "read_examples",
    "read_rows",
    "token_f1",
    "weighted_sum",
]
