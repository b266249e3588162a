"""Which requests are the same: same release, same tenant, same inputs, asked in the same way.

What only shapes a reply (its protocol, streaming, stops, a response format) is not part of it: the outputs
are kept, and shaped anew for each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from programs.json_values import write_json
from programs.tools import Offer

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request has in common with others; `tenant` is None where all share, else whose it is."""

    release: str
    tenant: str | None
    max_tokens: int | None

    def key(self, inputs: Mapping[str, Any], params: Mapping[str, object]) -> str | None:
        """A digest of all that decides an answer; None where an input can't be written down.

        The order of a value's own keys counts, because a prompt shows it; that of the inputs does not.
        """
        parts = [
            _FORMAT,
            self.release,
            self.tenant,
            self.max_tokens,
            sorted(inputs.items()),
            sorted(params.items()),
        ]
        try:
            return hashlib.sha256(write_json(parts, _plain)).hexdigest()
        except (TypeError, ValueError):
            return None


def _plain(value: Any) -> Any:
    if isinstance(value, Offer):
        tools = [{**tool.as_dict(), "strict": tool.strict} for tool in value.tools]
        return {"tools": tools, "fewest": value.fewest, "most": value.most}
    raise TypeError(f"{type(value).__name__} is no JSON")
