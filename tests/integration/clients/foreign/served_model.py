"""A hook of Schemathesis: requests that it makes up with the name of some model get that of one served.

Without it nearly all would be answered with "no such model" before anything else of them is looked at.
"""

from __future__ import annotations

from typing import Any

import schemathesis

RAW = ("/completions", "/embeddings")
"""Paths for an engine's own models."""


@schemathesis.hook  # type: ignore[untyped-decorator] # mypy reads another environment
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str) and case.body["model"]:
        raw = case.path.endswith(RAW) and "chat" not in case.path
        case.body["model"] = "tiny" if raw else "quiz"
