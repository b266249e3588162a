"""Fetches a registered release from MLflow into the folder of releases; the bytes are checked, never run.

Only files that a release can have are fetched, into a hidden folder first, and they stay only if every digest
holds.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from compiler.errors import UserMistake
from compiler.tracking.mlflow_store import Store
from compiler.tracking.registry import RELEASE_FOLDER
from programs.errors import ReleaseInvalid, ReleaseNotFound, ReleaseNotWritten
from programs.program import PROGRAM_NAME
from programs.release import Release, read_release, verify_evidence

_ADDRESS = re.compile(r"models:/+([^/@:]+)(?:@([A-Za-z][\w-]*)|/([0-9]+))")
_FILE = re.compile(
    r"(release|plan|neighbours|ensemble|state)\.json|evidence/(?!\.)[\w.-]{1,100}/(?!\.)[\w.-]{1,100}"
)
_VERSION = re.compile(r"[0-9a-f]{12}")
_LARGEST = 32 * 1024 * 1024  # bytes of one file
_MOST_FILES = 1000
_DEEPEST = 2  # levels of folders, as in release/evidence/BUILD


class Registered(NamedTuple):
    """A registered release: `models:/PROGRAM@ALIAS` or `models:/PROGRAM/NUMBER`."""

    program: str
    alias: str | None
    number: str | None


class Pulled(NamedTuple):
    release: Release
    known: bool
    """Whether it was in the folder of releases already."""


def parse_address(uri: str) -> Registered:
    """
    Raises:
        UserMistake: it is none.
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None or not PROGRAM_NAME.fullmatch(found[1]):
        raise UserMistake(
            f"{uri!r} is no registered release: give models:/PROGRAM@champion, models:/PROGRAM@candidate or "
            "models:/PROGRAM/3"
        )
    return Registered(found[1], found[2], found[3])


def pull_release(store: Store, wanted: Registered, releases: Path) -> Pulled:
    """The release, fetched, checked and in its place; its aliases are left alone.

    Raises:
        ReleaseNotFound: MLflow has none of that name.
        ReleaseInvalid: it is no whole release; nothing is left behind.
        ReleaseNotWritten: the disk is full or refuses.
        TrackingUnavailable: the store fails.
    """
    model = _find(store, wanted)
    version = str(model.tags.get("release", ""))
    if not model.run_id or not _VERSION.fullmatch(version):
        raise ReleaseInvalid(f"version {model.version} of {wanted.program!r} was not registered by a build")
    try:
        with _draft(releases) as draft:
            arriving = draft / wanted.program / version
            arriving.mkdir(parents=True)
            _fetch(store, model.run_id, arriving)
            read_release(arriving)
            verify_evidence(arriving)
            known = _settle(arriving, releases / wanted.program / version)
    except OSError as error:
        raise ReleaseNotWritten(f"can't write releases to {str(releases)!r}: {error.strerror}") from error
    return Pulled(read_release(releases / wanted.program / version), known)


def _find(store: Store, wanted: Registered) -> Any:
    name = wanted.program
    try:
        if wanted.alias is not None:
            return store.client.get_model_version_by_alias(name, wanted.alias)
        return store.client.get_model_version(name, wanted.number)
    except store.failures as error:
        if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            which = f"alias {wanted.alias!r}" if wanted.alias else f"version {wanted.number}"
            raise ReleaseNotFound(f"MLflow has no {which} of {name!r}: {store.reason(error)}") from error
        with store.waited_for():
            raise


@contextmanager
def _draft(releases: Path) -> Iterator[Path]:
    """A hidden folder beside the releases, gone when the block ends, with what had to be made for it."""
    made = not releases.exists()
    releases.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".pull-", dir=releases))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if made and not any(releases.iterdir()):
            releases.rmdir()


def _fetch(store: Store, run_id: str, home: Path) -> None:
    """Every file of the release, by names that were looked at before anything is written."""
    names: list[str] = []
    with store.waited_for():
        listed = list(_listed(store, run_id, RELEASE_FOLDER))
    for path, size in listed:
        name = path.removeprefix(f"{RELEASE_FOLDER}/")
        if not _FILE.fullmatch(name):
            raise ReleaseInvalid(f"the registered release holds {path!r}, which is no file of a release")
        if size > _LARGEST or len(names) == _MOST_FILES:
            raise ReleaseInvalid(f"the registered release is too large: {path!r} has {size} bytes")
        names.append(name)
    for name in names:
        with tempfile.TemporaryDirectory(dir=home.parent) as folder:
            with store.waited_for():
                fetched = store.client.download_artifacts(run_id, f"{RELEASE_FOLDER}/{name}", folder)
            target = home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fetched, target)


def _listed(store: Store, run_id: str, path: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """The files below a path of the run, with their sizes; a release has no more than two levels."""
    for found in store.client.list_artifacts(run_id, path):
        if not str(found.path).startswith(f"{path}/"):
            raise ReleaseInvalid(f"the registered release holds {found.path!r}, which lies outside it")
        if found.is_dir and depth == _DEEPEST:
            raise ReleaseInvalid(
                f"the registered release holds {found.path!r}, which is no file of a release"
            )
        if found.is_dir:
            yield from _listed(store, run_id, found.path, depth + 1)
        else:
            yield str(found.path), int(found.file_size or 0)


def _settle(arriving: Path, home: Path) -> bool:
    """Moves a checked release into place; one that is there only gains evidence. Says whether it was."""
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        os.replace(arriving, home)
        return False
    read_release(home)
    for evidence in sorted((arriving / "evidence").glob("*")):
        if not (home / "evidence" / evidence.name).exists():
            (home / "evidence").mkdir(exist_ok=True)
            os.replace(evidence, home / "evidence" / evidence.name)
    return True
