"""A release on disk: inert, content-addressed, the only thing that passes from compiler to gateway.

    releases/<program>/<version>/release.json   identity; the version is its digest
                                 plan.json      or neighbours.json, ensemble.json; interpreted, state.json
                                 evidence/<build-id>/...   what was measured; never changes the version
    releases/<program>/aliases.json             champion, candidate and how they moved
    releases/<program>/canary.json              which release gets a share of the champion's requests

Everything read here is checked against its digest; nothing read here is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from programs.ensemble import Ensemble, read_ensemble
from programs.errors import ReleaseInvalid, ReleaseNotFound, ReleaseNotWritten
from programs.json_values import JsonUnusable, read_json
from programs.neighbours import Neighbours, read_neighbours
from programs.plain_file import read_plain_file
from programs.plan import Plan, read_plan
from programs.program import PROGRAM_NAME, Chat, Sampling

Kind = Literal["plan", "neighbours", "ensemble", "interpreted"]
FILES: Mapping[Kind, str] = {
    "plan": "plan.json",
    "neighbours": "neighbours.json",
    "ensemble": "ensemble.json",
    "interpreted": "state.json",
}
_LARGEST_FILE = 32 * 1024 * 1024  # bytes; a plan of a full 8,192-token window is well under one


@dataclass(frozen=True)
class Interpreted:
    """What an interpreted release needs of its program to be the same program."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    signatures: str
    source: str
    chat: Chat
    sampling: Sampling


@dataclass(frozen=True)
class Identity:
    """What a release is; two releases with the same identity are the same release."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    program: str
    kind: Kind
    body: str
    """SHA-256 of the file that `FILES` names for the kind."""
    student: str
    """Logical name; the gateway maps it to an engine."""
    fingerprint: Mapping[str, Any]
    """The student's identity as `engine.fingerprint` writes it."""
    adapter: Mapping[str, Any] = field(default_factory=lambda: {"name": "ProgramAdapter", "version": 1})
    interpreted: Interpreted | None = None
    format: Literal[1] = 1

    @cached_property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 over the identity's canonical JSON."""
        return digest(canonical_json(asdict(self)))[:12]


@dataclass(frozen=True)
class Release:
    """One checked release; exactly one of its bodies is set, as `identity.kind` says."""

    path: Path
    identity: Identity
    plan: Plan | None = None
    state: Mapping[str, Any] | None = None
    neighbours: Neighbours | None = None
    ensemble: Ensemble | None = None

    @property
    def name(self) -> str:
        return f"{self.identity.program}@{self.identity.version}"

    @property
    def form(self) -> Plan | None:
        """A plan with the inputs, outputs, chat and sampling of the release; None where it is interpreted."""
        if self.neighbours is not None:
            return self.neighbours.plan
        return self.ensemble.members[0] if self.ensemble is not None else self.plan

    @property
    def sampling(self) -> Sampling:
        """How its model is asked where a request says nothing else."""
        if self.form is not None:
            return self.form.sampling
        assert self.identity.interpreted is not None, "a release without a form is interpreted"
        return self.identity.interpreted.sampling


_IDENTITY = TypeAdapter(Identity)


def canonical_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_release(
    root: Path, identity: Identity, body: bytes, build_id: str, evidence: Mapping[str, bytes]
) -> Path:
    """Writes a release whole or not at all; a known identity only gains the new evidence.

    `evidence` maps file names to contents; their digests are written beside them.

    Raises:
        ReleaseNotWritten: the disk is full or refuses.
    """
    if digest(body) != identity.body:
        raise ReleaseInvalid("the body is not the one its identity names")
    if len(body) > _LARGEST_FILE:
        raise ReleaseNotWritten(
            f"{FILES[identity.kind]} would have {len(body):,} bytes, which is more than the "
            f"{_LARGEST_FILE:,} that a release is read with; keep fewer or shorter demonstrations"
        )
    home = root / identity.program / identity.version
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        if not home.exists():
            files = {"release.json": canonical_json(asdict(identity)), FILES[identity.kind]: body}
            _write_folder(home, files)
    except OSError as error:
        raise ReleaseNotWritten(f"can't write the release to {str(home)!r}: {error.strerror}") from error
    add_evidence(home, build_id, evidence)
    return home


def add_evidence(home: Path, evidence_id: str, files: Mapping[str, bytes]) -> None:
    """Puts files with their digests beside a release that is there; its version stays.

    Raises:
        ReleaseNotWritten: the disk is full or refuses, or there is evidence of that id.
    """
    digests = {name: digest(data) for name, data in files.items()}
    try:
        (home / "evidence").mkdir(exist_ok=True)
        _write_folder(home / "evidence" / evidence_id, {**files, "digests.json": canonical_json(digests)})
    except OSError as error:
        raise ReleaseNotWritten(
            f"can't write evidence of {home.parent.name}@{home.name} to {str(home)!r}: {error.strerror}"
        ) from error


def read_release(path: Path) -> Release:
    """Reads and checks one release directory.

    Raises:
        ReleaseNotFound: there is none.
        ReleaseInvalid: a digest, the schema or the directory's own name is wrong.
    """
    if not path.is_dir() or path.is_symlink():
        raise ReleaseNotFound(f"no release at {str(path)!r}")
    try:
        identity = _IDENTITY.validate_python(_read_json(path / "release.json"))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ReleaseInvalid(f"{path.name}: release.json: {where}: {found['msg']}") from error
    _check(PROGRAM_NAME.fullmatch(identity.program) is not None, f"{identity.program!r:.80} names no program")
    _check(
        path.name == identity.version,
        f"the release is version {identity.version!r}, its directory says {path.name!r}",
    )
    _check(
        path.parent.name == identity.program,
        f"the release is for {identity.program!r}, not {path.parent.name!r}",
    )
    body = _read_file(path / FILES[identity.kind])
    _check(
        digest(body) == identity.body,
        f"{FILES[identity.kind]} has digest {digest(body)}, not {identity.body}",
    )
    content = _parse_json(body, FILES[identity.kind])
    match identity.kind:
        case "plan":
            return Release(path, identity, plan=read_plan(content))
        case "neighbours":
            return Release(path, identity, neighbours=read_neighbours(content))
        case "ensemble":
            return Release(path, identity, ensemble=read_ensemble(content))
        case "interpreted":
            said = identity.interpreted is not None
            _check(said, "the release is interpreted but does not say of which source")
            return Release(path, identity, state=content)


def verify_evidence(path: Path) -> list[str]:
    """Build ids whose evidence is intact.

    Raises:
        ReleaseInvalid: a file of the evidence is missing or changed.
    """
    intact = []
    for folder in sorted((path / "evidence").glob("*/")):
        if folder.name.startswith("."):
            continue
        _check(not folder.is_symlink(), f"evidence {folder.name} is a link")
        for name, expected in _read_json(folder / "digests.json").items():
            _check(
                digest(_read_file(folder / Path(name).name)) == expected,
                f"evidence {folder.name}/{name} changed",
            )
        intact.append(folder.name)
    return intact


def _write_folder(home: Path, files: Mapping[str, bytes]) -> None:
    """Fills a hidden folder beside `home`, then renames it into place."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home.parent))
    try:
        for name, data in files.items():
            with open(draft / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        draft.chmod(0o755)
        os.replace(draft, home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _read_file(path: Path) -> bytes:
    try:
        return read_plain_file(path, _LARGEST_FILE)
    except FileNotFoundError as error:
        raise ReleaseInvalid(f"{path.name} is missing in {str(path.parent)!r}") from error


def _read_json(path: Path) -> dict[str, Any]:
    return _parse_json(_read_file(path), path.name)


def _parse_json(data: bytes, name: str) -> dict[str, Any]:
    try:
        content = read_json(data, unique=True)
    except JsonUnusable as error:
        raise ReleaseInvalid(f"{name} {error}") from error
    _check(isinstance(content, dict), f"{name} must hold an object")
    return dict(content)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ReleaseInvalid(otherwise)
