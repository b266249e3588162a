"""Fetches a student model ahead of time: says what it takes, sees that there is room, goes on after a stop.

What arrives is checked against the hub's own digests before it is taken for the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from compiler.errors import FetchFailed, HubUnreachable, StateNotWritten
from compiler.hub import Hub, HubFile, Listing
from compiler.model_choice import Wanted, choose
from compiler.model_places import Place, digest_of
from compiler.terminal import duration

_SPARE = 50_000_000  # bytes that a disk keeps for everybody else on it
_TRIES = 5  # in a row that bring nothing
_SECONDS_BETWEEN_LINES = 5.0
_KEPT = "what was fetched is kept, and the same command goes on with it"
_UNITS = ("bytes", "kB", "MB", "GB", "TB")

Say = Callable[[str], None]


class Progress:
    """How much of everything is here, in a line every few seconds."""

    def __init__(self, total: int, begin: int, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._begin = self._done = begin
        self.say = say
        self._clock = clock
        self._begun = self._last = clock()

    def moved(self, count: int) -> None:
        """So many bytes more are here; fewer, where a server made us begin a file anew."""
        self._done += count
        now = self._clock()
        if now - self._last < _SECONDS_BETWEEN_LINES or self._done >= self._total:
            return
        self._last = now
        rate = max(self._done - self._begin, 1) / (now - self._begun)
        left = duration((self._total - self._done) / rate)
        done = f"{amount(self._done)} of {amount(self._total)} ({100 * self._done // self._total} %)"
        self.say(f"  {done}, {amount(round(rate))}/s, about {left} left")


def download(hub: Hub, place: Place, wanted: Wanted, say: Say, free: int, pause_seconds: float = 2.0) -> None:
    """Brings the model to its place. `free` is how many bytes the disk there has left.

    Raises:
        UserMistake: no such name, or a model that no engine here can serve.
        FetchFailed: the hub does not give it.
        StateNotWritten: the disk is full or refuses.
    """
    wanted.check()
    try:
        listing = hub.listing(wanted.model, wanted.revision)
    except HubUnreachable as error:
        if not place.servable(wanted.model, wanted.revision):
            raise
        say(f"{wanted.model} is in {place.folder}; whether the hub has another by now can't be told: {error}")
        return
    files = choose(listing)
    total = sum(file.size for file in files)
    try:
        missing = [file for file in files if not place.has(file)]
        to_fetch = sum(file.size - _have(place, file) for file in missing)
        if missing:
            _announce(listing, files, missing, say)
            say(f"Into {place.folder}: {amount(to_fetch)} to fetch, {amount(free)} free")
            _refuse_too_little_room(wanted.model, place.folder, to_fetch, free)
        with _alone(place, say):
            progress = Progress(total, total - to_fetch, say)
            # The small ones first: who has no right to a model learns it at once.
            for file in sorted(missing, key=lambda file: file.size):
                _fetch(hub, listing, file, place, progress, pause_seconds)
            place.finish(listing, files)
    except OSError as error:
        raise StateNotWritten(
            f"can't write into {str(place.folder)!r}: {error.strerror or error}; {_KEPT}"
        ) from error
    if not place.servable(wanted.model, wanted.revision):
        raise FetchFailed(
            f"all that the hub lists of {wanted.model!r} is here, but its index names weights that are not "
            "in the list; no engine can serve it"
        )
    say(f"{'Complete' if missing else 'Here already'}: {len(files)} files, {amount(total)}")


def amount(count: int) -> str:
    """Bytes as people read them."""
    value, place = float(count), 0
    while value >= 999.5 and place < len(_UNITS) - 1:
        value, place = value / 1000, place + 1
    return f"{count} bytes" if place == 0 else f"{value:.3g} {_UNITS[place]}"


def _announce(listing: Listing, files: Sequence[HubFile], missing: Sequence[HubFile], say: Say) -> None:
    named = "" if listing.revision == listing.commit else f" ({listing.revision})"
    size = amount(sum(file.size for file in files))
    say(f"{listing.model} at {listing.commit[:12]}{named}: {len(files)} files, {size}")
    for file in missing:
        say(f"  {file.name}, {amount(file.size)}")
    if len(missing) < len(files):
        say(f"  {len(files) - len(missing)} more are here already")
    left = [file for file in listing.files if file not in files]
    if left:
        names = ", ".join(file.name for file in left[:3]) + (", ..." if len(left) > 3 else "")
        say(f"  left out, as no engine here reads it: {amount(sum(file.size for file in left))} ({names})")


def _refuse_too_little_room(model: str, folder: Path, wanted: int, free: int) -> None:
    if wanted + _SPARE > free:
        raise StateNotWritten(
            f"{model!r} takes {amount(wanted)} more in {str(folder)!r} and {amount(_SPARE)} should stay "
            f"free, but only {amount(free)} are; make room, or name another disk by --to or HF_HOME"
        )


@contextmanager
def _alone(place: Place, say: Say) -> Iterator[None]:
    """While the block runs no other process fetches the same there; waits for one that does."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say("Another process is fetching it; waiting until it is done ...")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _have(place: Place, file: HubFile) -> int:
    """How much of the file is here; what is too long is told by its digest when the rest is due."""
    part = place.part(file)
    return min(part.stat().st_size, file.size) if part.exists() else 0


def _fetch(
    hub: Hub, listing: Listing, file: HubFile, place: Place, progress: Progress, pause_seconds: float
) -> None:
    """The file, from where it stopped. A broken connection is made again as long as it brings something."""
    if place.has(file):  # by now: another process was at it, or it is another file's content too
        progress.moved(file.size - _have(place, file))
        return
    part = place.part(file)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    fruitless = 0
    while (have := _have(place, file)) < file.size:
        try:
            _append(hub, listing, file, part, progress)
        except HubUnreachable as error:
            fruitless = 0 if _have(place, file) > have else fruitless + 1
            if fruitless == _TRIES:
                raise HubUnreachable(f"{error}; {_KEPT}") from error
            progress.say(f"  {error}; trying again")
            time.sleep(pause_seconds * max(fruitless, 1))
    found = digest_of(part, file)
    if found != file.digest:
        part.unlink()
        raise FetchFailed(
            f"what arrived as {file.name!r} is not what the hub lists: its digest is {found}, not "
            f"{file.digest}; it was thrown away, and the same command fetches it anew"
        )
    os.replace(part, place.path(file))


def _append(hub: Hub, listing: Listing, file: HubFile, part: Path, progress: Progress) -> None:
    """What the hub sends of the rest. Raises HubUnreachable when that is not all."""
    have = part.stat().st_size
    with hub.content(listing, file, have) as content, part.open("r+b") as sink:
        progress.moved(content.begin - have)
        sink.seek(content.begin)
        sink.truncate()
        for chunk in content.chunks:
            sink.write(chunk)
            progress.moved(len(chunk))
            if sink.tell() > file.size:
                raise FetchFailed(
                    f"the hub sends more of {file.name!r} than the {file.size:,} bytes it lists"
                )
    if part.stat().st_size < file.size:
        raise HubUnreachable(f"{hub.endpoint} ended {file.name!r} before it was whole")
