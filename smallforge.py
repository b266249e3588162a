"""The public names for programs outside this repository."""

from __future__ import annotations

from programs.checks import is_one_of, matches, must_mention, satisfies
from programs.data import content_key, fingerprint, read_examples, read_rows
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
from programs.loading import load_program
from programs.measuring import Measured, measure
from programs.metrics import containment, exact_match, numeric_match, token_f1, weighted_sum
from programs.program import Chat, Metric, Program, Sampling, Split

__all__ = [
    "Chat",
    "CheckFailed",
    "DataInvalid",
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
    "exact_match",
    "fingerprint",
    "is_one_of",
    "load_program",
    "matches",
    "measure",
    "must_mention",
    "numeric_match",
    "read_examples",
    "read_rows",
    "satisfies",
    "token_f1",
    "weighted_sum",
]
