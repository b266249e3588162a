"""A release's kind -> what runs it. Only the interpreted kind needs dspy, and only it imports dspy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from gateway.errors import ModelUnavailable
from programs.ensemble import EnsembleExecutor
from programs.errors import ProgramError
from programs.execution import Executor, PlanExecutor
from programs.neighbours import NeighbourExecutor
from programs.release import Kind, Release

MakeExecutor = Callable[[Release], Executor]


def plan_executor(release: Release) -> Executor:
    assert release.plan is not None, "read_release gives every release of kind `plan` its plan"
    return PlanExecutor(release.plan)


def neighbour_executor(release: Release) -> Executor:
    assert release.neighbours is not None, "read_release gives every release of its kind its neighbours"
    return NeighbourExecutor(release.neighbours)


def ensemble_executor(release: Release) -> Executor:
    assert release.ensemble is not None, "read_release gives every release of its kind its ensemble"
    return EnsembleExecutor(release.ensemble)


def interpreted_executor(release: Release) -> Executor:
    """Runs the program's own module, after checking that it is the module that was compiled.

    Raises:
        ModelUnavailable: dspy or the program is not here, or the program is another one by now.
    """
    assert release.identity.interpreted is not None and release.state is not None
    if importlib.util.find_spec("dspy") is None:
        raise ModelUnavailable(
            f"Release {release.name!r} could not be lowered to a plan and needs DSPy, which is not installed "
            "here; the gateway's operator can install it: pip install 'smallforge[compiler]'."
        )
    from engine.lm import make_lm
    from programs.interpreted import InterpretedExecutor, load_state, signature_fingerprint, source_digest
    from programs.loading import load_program

    compiled = release.identity.interpreted
    try:
        program = load_program(release.identity.program)
        module = program.make_module()
    except ProgramError as error:
        raise ModelUnavailable(f"Release {release.name!r} needs its program: {error}.") from error
    except Exception as error:
        raise ModelUnavailable(f"Release {release.name!r}: its program failed with {error!r}.") from error
    _check_same("signatures", release, compiled.signatures, signature_fingerprint(module))
    _check_same("source file", release, compiled.source, source_digest(program))
    return InterpretedExecutor(load_state(module, release.state), program, make_lm)


EXECUTORS: dict[Kind, MakeExecutor] = {
    "plan": plan_executor,
    "neighbours": neighbour_executor,
    "ensemble": ensemble_executor,
    "interpreted": interpreted_executor,
}


def _check_same(what: str, release: Release, expected: str, actual: str) -> None:
    if expected != actual:
        raise ModelUnavailable(
            f"Release {release.name!r} was compiled from another {release.identity.program!r}: "
            f"its {what} had digest {expected[:12]}, the one installed here has {actual[:12]}."
        )
