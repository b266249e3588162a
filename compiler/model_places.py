"""Where a downloaded model goes: into the cache that every engine looks in, or into a plain directory.

A file grows under its digest and is moved into its place when it is whole: what is in its place is what the
hub has. Knows nothing of the hub itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compiler.hub import HubFile, Listing
from engine.hub_cache import cached_snapshot, is_commit, is_whole, repository

_SHA256_LETTERS = 64
_CHUNK = 1 << 20


class Place(Protocol):
    """Where the files of one model go."""

    @property
    def folder(self) -> Path:
        """What the user knows the place by."""

    @property
    def lock(self) -> Path:
        """A file that whoever writes here holds."""

    def part(self, file: HubFile) -> Path:
        """Where the file grows until it is whole."""

    def path(self, file: HubFile) -> Path:
        """Where its content is then."""

    def has(self, file: HubFile) -> bool:
        """Whether it is there."""

    def finish(self, listing: Listing, files: Sequence[HubFile]) -> None:
        """All of them are there."""

    def servable(self, model: str, revision: str) -> bool:
        """Whether `engine serve` finds a whole model here."""


@dataclass(frozen=True)
class HubCache:
    """The model's part of Hugging Face's cache, which the engines and their libraries read."""

    folder: Path
    model: str

    @property
    def lock(self) -> Path:
        return self.folder / ".locks" / self._home.name / "smallforge.lock"

    @property
    def _home(self) -> Path:
        return repository(self.folder, self.model)

    def part(self, file: HubFile) -> Path:
        return self._home / "blobs" / f"{file.digest}.incomplete"

    def path(self, file: HubFile) -> Path:
        return self._home / "blobs" / file.digest

    def has(self, file: HubFile) -> bool:
        return _has_size(self.path(file), file.size)

    def finish(self, listing: Listing, files: Sequence[HubFile]) -> None:
        """Links the files under the commit, then says that the revision is this commit."""
        snapshot = self._home / "snapshots" / listing.commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for file in files:
            link, target = snapshot / file.name, Path("..", "..", "blobs", file.digest)
            if link.exists() and link.resolve() == self.path(file).resolve():
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        if not is_commit(listing.revision):
            reference = self._home / "refs" / listing.revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            draft = reference.with_name(f"{reference.name}.draft")
            draft.write_text(listing.commit)
            os.replace(draft, reference)

    def servable(self, model: str, revision: str) -> bool:
        return cached_snapshot(self.folder, model, revision) is not None


@dataclass(frozen=True)
class PlainDirectory:
    """A directory with the model's files and nothing else."""

    folder: Path

    @property
    def _parts(self) -> Path:
        return self.folder / ".incomplete"

    @property
    def lock(self) -> Path:
        return self._parts / "lock"

    def part(self, file: HubFile) -> Path:
        return self._parts / file.digest

    def path(self, file: HubFile) -> Path:
        return self.folder / file.name

    def has(self, file: HubFile) -> bool:
        """Its name says nothing of its content, so the content is looked at."""
        return _has_size(self.path(file), file.size) and digest_of(self.path(file), file) == file.digest

    def finish(self, listing: Listing, files: Sequence[HubFile]) -> None:
        shutil.rmtree(self._parts, ignore_errors=True)

    def servable(self, model: str, revision: str) -> bool:
        return is_whole(self.folder)


def free_bytes(folder: Path) -> int:
    """What is left on the disk where the folder is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def digest_of(path: Path, file: HubFile) -> str:
    """The digest of what lies at the path, of the kind that the hub gives for the file."""
    if len(file.digest) == _SHA256_LETTERS:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
