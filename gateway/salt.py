"""Keeps callers apart in vLLM's prefix cache, where none may learn by the time of a reply what another asked.

It costs what the cache is there for: each caller's first request of a release reads its constant prompt anew.
"""

from __future__ import annotations

import hashlib

from gateway.access.caller import Caller
from gateway.place import ServedStudent

SALT = "cache_salt"


def salt_of(caller: Caller | None, student: ServedStudent) -> dict[str, str]:
    """What is added to a request; nothing for other engines, and where nobody is told apart.

    It need not be secret: what clients send under this name is never passed on where this is.
    """
    if caller is None or student.student.engine.kind != "vllm":
        return {}
    return {SALT: hashlib.sha256(b"smallforge " + caller.id.encode()).hexdigest()[:32]}
