"""A release's kind -> what runs it. Only the interpreted kind needs dspy, and only it imports dspy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import ModelUnavailable
from programs.errors import ProgramError
from programs.execution import Executor
from programs.inert import inert_executor
from programs.release import Kind, Release

MakeExecutor = Callable[["Release", "Bounds"], Executor]


class Bounds(NamedTuple):
    """What the operator lets one answer of any program take; None is what the program says itself."""

    steps: int | None = None
    seconds: float | None = None


AS_DECLARED = Bounds()


def interpreted_executor(release: Release, bounds: Bounds) -> Executor:
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
    from engine.direct import DirectLM
    from programs.interpreted import InterpretedExecutor
    from programs.loading import load_program
    from programs.module_state import load_state, signature_fingerprint, source_digest

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
    limits = program.limits.within(bounds.steps, bounds.seconds)
    return InterpretedExecutor(load_state(module, release.state), program, DirectLM, limits=limits)


def _inert(release: Release, bounds: Bounds) -> Executor:
    """A prompt or a vote: what it takes is written in the release."""
    return inert_executor(release)


EXECUTORS: dict[Kind, MakeExecutor] = {
    "plan": _inert,
    "neighbours": _inert,
    "ensemble": _inert,
    "interpreted": interpreted_executor,
}


def _check_same(what: str, release: Release, expected: str, actual: str) -> None:
    if expected != actual:
        raise ModelUnavailable(
            f"Release {release.name!r} was compiled from another {release.identity.program!r}: "
            f"its {what} had digest {expected[:12]}, the one installed here has {actual[:12]}."
        )
