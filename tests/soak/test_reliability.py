"""A thousand clients leave, and engines are killed twenty times: nothing is lost."""

from __future__ import annotations

from benchmarks.gateway_stand import PASSED
from benchmarks.reliability import main


def test_nothing_is_lost() -> None:
    assert main([]) == PASSED
