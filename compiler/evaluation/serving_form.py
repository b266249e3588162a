"""A release -> what runs it, for builds, evaluations and conversations: what the gateway would run.

Only an interpreted release needs its program's code; the others are whole by themselves.
"""

from __future__ import annotations

from compiler.lowering import interpreted
from programs.errors import ReleaseInvalid
from programs.execution import Executor
from programs.inert import inert_executor
from programs.loading import blamed_on, load_program
from programs.module_state import load_state, signature_fingerprint, source_digest
from programs.program import Program
from programs.release import Release


def serving_form(release: Release, program: Program | None = None) -> Executor:
    """The executor of a release; of an interpreted one the program is found by its name if it isn't given.

    Raises:
        ReleaseInvalid: it is interpreted and was compiled from another state of the program.
        ProgramNotFound, ProgramInvalid: the program is not installed, or its own code fails.
    """
    return _interpreted(release, program) if release.state is not None else inert_executor(release)


def _interpreted(release: Release, program: Program | None) -> Executor:
    compiled, state = release.identity.interpreted, release.state
    assert compiled is not None and state is not None, "read_release gives a release of this kind both"
    program = program or load_program(release.identity.program)
    with blamed_on(program):
        module = program.make_module()
    _refuse_other("signatures", release, compiled.signatures, signature_fingerprint(module))
    _refuse_other("source file", release, compiled.source, source_digest(program))
    return interpreted(load_state(module, state), program)


def _refuse_other(what: str, release: Release, expected: str, actual: str) -> None:
    if expected != actual:
        raise ReleaseInvalid(
            f"release {release.name!r} was compiled from another {release.identity.program!r}: its {what} "
            f"had digest {expected[:12]}, the program's now has {actual[:12]}"
        )
