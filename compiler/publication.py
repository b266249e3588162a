"""Turns what a build found into a release: its identity, its aliases, and the files on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import dspy

from compiler.errors import ProgramUnusable
from compiler.proof import Lowered
from compiler.request import BoundModel
from programs.aliases import move_alias, read_aliases
from programs.errors import ReleaseNotWritten
from programs.module_state import signature_fingerprint, source_digest
from programs.program import Program
from programs.release import Identity, Interpreted, canonical_json, digest, write_release

Alias = Literal["champion", "candidate"]


class Draft(NamedTuple):
    """A release that is not written yet."""

    identity: Identity
    body: bytes


def draft_release(program: Program, module: dspy.Module, lowered: Lowered, student: BoundModel) -> Draft:
    """What was lowered, or the state of the program's predictors, bound to its student.

    Raises:
        ProgramUnusable: a demonstration holds something that JSON can't.
    """
    try:
        body = canonical_json(lowered.content)
    except TypeError as error:
        raise ProgramUnusable(
            f"program {program.name!r}: its demonstrations can't be kept as JSON: {error}"
        ) from error
    interpreted = None
    if lowered.kind == "interpreted":
        interpreted = Interpreted(
            signature_fingerprint(module), source_digest(program), program.chat, program.sampling
        )
    identity = Identity(
        program=program.name,
        kind=lowered.kind,
        body=digest(body),
        student=student.name,
        fingerprint=_plain(student.fingerprint.as_dict()),
        interpreted=interpreted,
    )
    return Draft(identity, body)


def check_writable(releases: Path) -> None:
    """Raises ReleaseNotWritten when a release could not be written there, before anything is paid for."""
    nearest = next(path for path in (releases, *releases.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "may not be written to" if nearest.is_dir() else "is no folder"
        raise ReleaseNotWritten(f"can't write releases to {str(releases)!r}: {str(nearest)!r} {why}")


def alias_for(releases: Path, identity: Identity, keep: bool = False) -> Alias | None:
    """`champion` for the first release of a program, `candidate` for every later one.

    To `keep` the aliases is to move none that is set: then it may be None.
    """
    aliases = read_aliases(releases / identity.program)
    if keep and aliases.champion is not None:
        return "candidate" if aliases.candidate is None else None
    return "champion" if aliases.champion in (None, identity.version) else "candidate"


def publish(
    releases: Path, draft: Draft, alias: Alias | None, build_id: str, evidence: Mapping[str, bytes]
) -> Path:
    """Writes the release, then points `candidate`, and for a first release `champion`, at it.

    Without an alias none is moved.

    Raises:
        ReleaseNotWritten: the disk is full or refuses; nothing points at what is not whole.
    """
    program, version = draft.identity.program, draft.identity.version
    home = releases / program / version
    # Evidence is whole once it is there: a build that was stopped right after needs only its aliases.
    if not (home / "evidence" / build_id).exists():
        write_release(releases, draft.identity, draft.body, build_id, evidence)
    if alias is not None:
        move_alias(releases / program, "candidate", version, f"build {build_id}")
    if alias == "champion":
        move_alias(releases / program, "champion", version, f"build {build_id}: first release")
    return home


def _plain(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON will give it back, so that the version is the same when read."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fingerprint.items()}
