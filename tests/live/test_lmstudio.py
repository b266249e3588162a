"""A real LM Studio, by what its double is tested with too.

    SMALLFORGE_LIVE_LMSTUDIO=http://127.0.0.1:1234 pytest -m live tests/live

SMALLFORGE_LIVE_LMSTUDIO_MODEL names a model where it has several.
"""

from __future__ import annotations

import os

import pytest

from tests.engine.lmstudio_behaviour import BEHAVIOURS, Behaviour

URL = os.environ.get("SMALLFORGE_LIVE_LMSTUDIO")
MODEL = os.environ.get("SMALLFORGE_LIVE_LMSTUDIO_MODEL")

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.skipif(URL is None, reason="SMALLFORGE_LIVE_LMSTUDIO names no server"),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_of_lm_studio(behaviour: Behaviour) -> None:
    assert URL is not None
    await behaviour(URL, MODEL)
