"""What runs a release that is data and nothing else: no program code, no dspy."""

from __future__ import annotations

from programs.ensemble import EnsembleExecutor
from programs.execution import Executor, PlanExecutor
from programs.neighbours import NeighbourExecutor
from programs.release import Release


def inert_executor(release: Release) -> Executor:
    """The executor of a release of any kind but `interpreted`."""
    if release.neighbours is not None:
        return NeighbourExecutor(release.neighbours)
    if release.ensemble is not None:
        return EnsembleExecutor(release.ensemble)
    assert release.plan is not None, "read_release gives a release of each kind its body"
    return PlanExecutor(release.plan)
