"""Which releases are served under which model names, kept equal to the releases folder while requests run.

A snapshot of names is replaced whole, so a request sees the state before a change or the one after it, and
keeps the release it began with. What is broken is refused and logged; the name goes on meaning what it
meant before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path

from engine.fingerprint import Fingerprint
from gateway.access.caller import Caller, may_ask
from gateway.accounting.evidence import Measured, read_measured
from gateway.canary.split import Split
from gateway.conversation import Conversation
from gateway.errors import Header, ModelUnavailable, ModelUnknown
from gateway.executors import AS_DECLARED, EXECUTORS, Bounds
from gateway.limits.appetite import RunAppetite, appetite_of
from gateway.metrics import Metrics, ReleaseMetrics
from gateway.place import ServedStudent
from gateway.releases_folder import ProgramFolder, look_at_releases
from gateway.students import Students
from gateway.visit import Visit
from programs.aliases import Aliases, read_aliases
from programs.canary import Canary, read_canary
from programs.errors import DataInvalid, ReleaseError, ReleaseInvalid
from programs.execution import Executor
from programs.output_pattern import output_pattern
from programs.plan import INPUTS_ONLY
from programs.program import Sampling
from programs.release import Identity, Release, read_release
from programs.scripture import Tables, open_tables
from programs.tool_calls import ToolFields, calls_checks, tool_fields
from programs.verses import AddVerses, verse_adder_from

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runnable:
    """A checked release, ready to run on its student. `release` is its full name."""

    release: str
    identity: Identity
    student: Fingerprint
    executor: Executor
    conversation: Conversation
    metrics: ReleaseMetrics
    measured: Measured
    streams: bool
    """Whether an answer's texts come while the engine writes them, or all at the end."""
    created: int
    appetite: RunAppetite
    sampling: Sampling

    @cached_property
    def tools(self) -> ToolFields | None:
        """The fields that take tools and call them, where the program declares tools."""
        return tool_fields(self.executor.inputs, self.executor.outputs)

    @cached_property
    def pattern(self) -> str:
        """What its replies match, for engines that can hold a model to that."""
        return output_pattern(self.executor.outputs)


@dataclass(frozen=True)
class Loaded:
    """What became of a version on disk: `runnable`, or the error that says why not.

    A `broken` one is no release that could be served anywhere; it is kept from the lists.
    """

    program: str
    version: str
    runnable: Runnable | None = None
    refused: ModelUnavailable | None = None
    broken: bool = False


@dataclass(frozen=True)
class Served:
    """What a model name means now. `student` is set exactly where `unavailable` is None.

    `split` says to which requests it means another release.
    """

    model: str
    loaded: Loaded
    student: ServedStudent | None
    unavailable: ModelUnavailable | None
    split: Split | None = None
    headers: tuple[Header, ...] = field(init=False)

    def __post_init__(self) -> None:
        release = f"{self.loaded.program}@{self.loaded.version}".encode()
        object.__setattr__(self, "headers", ((b"x-smallforge-release", release),))


class Catalog:
    """The served releases of one folder; `refresh` is called again and again by the gateway's lifespan."""

    def __init__(
        self,
        root: Path,
        students: Students,
        metrics: Metrics,
        tables: Path | None = None,
        taken: frozenset[str] = frozenset(),
        bounds: Bounds = AS_DECLARED,
    ) -> None:
        """`taken` are names of other models; what of the releases would have one of them is in `clashes`."""
        self.models: Mapping[str, Served] = {}
        self.clashes: Sequence[str] = ()
        self._taken = taken
        self._root = root
        self._bounds = bounds
        self._tables = cache(partial(open_tables, tables))  # large, so all releases share them
        self._students = students
        self._metrics = metrics
        self._folders: Mapping[str, ProgramFolder] = {}
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._aliases: dict[str, Aliases] = {}
        self._canaries: dict[str, Canary | None] = {}
        self._students_seen = -1
        self._judged: dict[str, ModelUnavailable | None] = {}  # one verdict for all names of a release

    def find(self, model: str, visit: Visit) -> tuple[Runnable, Served, ServedStudent]:
        """The release behind a model name, for this visitor, and the student it runs on.

        Raises:
            ModelUnknown: nothing has that name.
            ModelUnavailable: it has, but may not or cannot run now.
        """
        served = self.models.get(model)
        if served is None:
            raise self.unknown(model, visit.caller)
        if served.split is not None:
            served = served.split.chosen(served, visit)
        if served.student is None or served.loaded.runnable is None:
            assert served.unavailable is not None, "what has no student is unavailable"
            # A new one each time: an error collects tracebacks as it is raised.
            raise ModelUnavailable(served.unavailable.message, retry=served.unavailable.retry)
        return served.loaded.runnable, served, served.student

    async def refresh(self) -> None:
        """Takes in what changed on disk or about the students since the last call."""
        folders = await asyncio.to_thread(look_at_releases, self._root)
        if folders is None or (folders == self._folders and self._students.changes == self._students_seen):
            return
        await asyncio.to_thread(self._read_changes, folders)
        self._folders = folders
        self._students.want(
            {loaded.runnable.identity.student for loaded in self._loaded.values() if loaded.runnable}
        )
        self._students_seen = self._students.changes
        self._judged.clear()
        models = dict(self._names())
        self.clashes = sorted(models.keys() & self._taken)
        for name in self.clashes:
            _log.error("the release name %r is that of an exposed model, which keeps it", name)
            del models[name]
        self.models = models

    def needed(self) -> Iterator[tuple[str, str, Fingerprint]]:
        """Each release by its name, with its student and the model that it was built for."""
        for served in {served.loaded.version: served for served in self.models.values()}.values():
            runnable = served.loaded.runnable
            if runnable is not None:
                yield runnable.release, runnable.identity.student, runnable.student

    def ready(self) -> bool:
        return any(served.unavailable is None for served in self.models.values())

    def splits(self) -> Mapping[str, Split]:
        """The canaries that run, by the model's name."""
        return {name: served.split for name, served in self.models.items() if served.split is not None}

    def withdraw(self, program: str) -> None:
        """Gives all requests back to the champion, whatever the canary's file says until it changes."""
        self._canaries[program] = None
        self.models = {**self.models, program: replace(self.models[program], split=None)}

    def _read_changes(self, folders: Mapping[str, ProgramFolder]) -> None:
        for program, folder in folders.items():
            before = self._folders.get(program)
            for version, stamp in folder.versions.items():
                if before is None or before.versions.get(version) != stamp:
                    self._load(program, version)
            if before is None or before.aliases != folder.aliases:
                self._read_aliases(program)
            if before is None or before.canary != folder.canary:
                self._read_canary(program)
        for program in self._aliases.keys() - folders.keys():
            del self._aliases[program]
        gone = [key for key in self._loaded if key[0] not in folders]
        for key in gone:
            del self._loaded[key]

    def _load(self, program: str, version: str) -> None:
        key = (program, version)
        former = self._loaded.get(key)
        try:
            self._loaded[key] = Loaded(
                program, version, runnable=self._make_runnable(self._root / program / version)
            )
            _log.info("loaded release %s@%s", program, version)
        except Exception as error:  # noqa: BLE001 -- whatever one folder holds, the others are served
            _log.error("release %s@%s is refused: %s", program, version, error)
            if former is None or former.runnable is None:
                if isinstance(error, ModelUnavailable):
                    self._loaded[key] = Loaded(program, version, refused=error)
                else:
                    refused = ModelUnavailable(f"Release {program}@{version} is refused: {error}.")
                    self._loaded[key] = Loaded(program, version, refused=refused, broken=True)

    def _make_runnable(self, path: Path) -> Runnable:
        release = read_release(path)
        executor = EXECUTORS[release.identity.kind](release, self._bounds)
        _check_chat(executor)
        program = release.identity.program
        return Runnable(
            release.name,
            release.identity,
            Fingerprint.from_dict(release.identity.fingerprint),
            executor,
            _conversation(program, executor, self._tables),
            self._metrics.for_release(program, release.identity.version),
            read_measured(path),
            _streams(release, executor),
            int((path / "release.json").stat().st_mtime),
            appetite_of(release),
            release.sampling,
        )

    def _read_aliases(self, program: str) -> None:
        try:
            self._aliases[program] = read_aliases(self._root / program)
        except (ReleaseError, OSError) as error:
            _log.error("the aliases of %r are refused, the former ones stay: %s", program, error)

    def _read_canary(self, program: str) -> None:
        try:
            canary = self._canaries[program] = read_canary(self._root / program)
        except (ReleaseError, OSError) as error:
            _log.error("the canary of %r is refused, the former one stays: %s", program, error)
            return
        if canary is not None:
            _log.info(
                "%s@%s gets %g %% of the requests for %r", program, canary.version, canary.weight, program
            )

    def _names(self) -> Iterator[tuple[str, Served]]:
        for program, version in self._loaded:
            if version in self._folders[program].versions:
                name = f"{program}@{version}"
                yield name, self._serve(name, program, version)
        for program, aliases in self._aliases.items():
            for name, target in ((program, aliases.champion), (f"{program}@candidate", aliases.candidate)):
                if target is not None:
                    served = self._serve_alias(name, program, target)
                    yield name, self._with_split(served) if name == program else served

    def _serve_alias(self, name: str, program: str, version: str) -> Served:
        """What an alias points at, or, where that can't run, what it meant before."""
        wanted = self._serve(name, program, version)
        former = self.models.get(name)
        if wanted.unavailable is None or former is None or former.loaded.version == version:
            return wanted
        kept = self._serve(name, program, former.loaded.version)
        if kept.unavailable is not None:
            return wanted
        _log.error("%r goes on serving %s: %s", name, kept.loaded.version, wanted.unavailable)
        return kept

    def _with_split(self, champion: Served) -> Served:
        """The champion, with a share of its requests for the canary if that can take them."""
        program = champion.loaded.program
        canary = self._canaries.get(program)
        if canary is None or not canary.weight or canary.version == champion.loaded.version:
            return champion
        candidate = self._serve(champion.model, program, canary.version)
        pair = champion.loaded.runnable, candidate.loaded.runnable
        if champion.unavailable is not None or candidate.unavailable is not None:
            _log.error("the canary of %r gets no requests: %s", program, candidate.unavailable)
            return champion
        if pair[0] is None or pair[1] is None or (pair[0].tools is None) != (pair[1].tools is None):
            _log.error("the canary of %r gets no requests: only one of the two declares tools", program)
            return champion
        return replace(champion, split=Split(canary, candidate))

    def _serve(self, name: str, program: str, version: str) -> Served:
        absent = ModelUnavailable(f"Release {program}@{version} is not in the releases folder.")
        loaded = self._loaded.get((program, version)) or Loaded(program, version, refused=absent, broken=True)
        runnable = loaded.runnable
        if runnable is None:
            return Served(name, loaded, None, loaded.refused)
        student = self._students.get(runnable.identity.student)
        if runnable.release not in self._judged:
            judged = student.refusal(runnable.release, runnable.student, runnable.metrics)
            self._judged[runnable.release] = judged
        refused = self._judged[runnable.release]
        return Served(name, loaded, None if refused else student.served, refused)

    def unknown(self, model: str, caller: Caller | None) -> ModelUnknown:
        """The error for a name that no release has; it names only what the caller may ask."""
        if model in self._taken:
            told = f"{model!r} is an engine's own model; it is asked at /v1/chat/completions."
            return ModelUnknown(told, param="model")
        return ModelUnknown(self._unknown(model, caller), param="model")

    def _unknown(self, model: str, caller: Caller | None) -> str:
        shown = model if len(model) <= 80 else model[:77] + "..."
        names = sorted(name for name in {*self.models, *self._taken} if may_ask(caller, name))
        if not names:
            return (
                f"No model {shown!r}: the releases folder has no releases yet; `compiler build` writes one."
            )
        if any(name.startswith(f"{model}@") for name in names):
            return f"{shown!r} has no champion yet; served are {', '.join(names[:20])}."
        return f"No model {shown!r}; served are {', '.join(names[:20])}."


def _conversation(program: str, executor: Executor, open_them: Callable[[], Tables]) -> Conversation:
    tools = tool_fields(executor.inputs, executor.outputs)
    return Conversation(program, executor.chat, executor.inputs, _verses(executor, open_them), tools)


def _verses(executor: Executor, open_them: Callable[[], Tables]) -> AddVerses:
    try:
        return verse_adder_from(executor.chat, open_them)
    except DataInvalid as error:
        raise ModelUnavailable(f"The verses of scripture can't be looked up: {error}.") from error


def _check_chat(executor: Executor) -> None:
    """Refuses a release whose chat names fields that it does not have, or that can't take a text."""
    chat = executor.chat
    inputs, outputs = ({field.name for field in fields} for fields in (executor.inputs, executor.outputs))
    taken = {name for name in (chat.user, chat.system, chat.history, chat.verses) if name is not None}
    for name in [*(taken - inputs), *({chat.answer, *chat.reasoning} - outputs)]:
        raise ReleaseInvalid(f"its chat names {name!r}, which is none of its fields")
    user = next(field for field in executor.inputs if field.name == chat.user)
    if user.type in INPUTS_ONLY:
        raise ReleaseInvalid(f"its chat gives the user's text to {user.name!r}, which is of type {user.type}")


def _streams(release: Release, executor: Executor) -> bool:
    """Only an answer that no vote, check or later step can take back is shown before it is complete."""
    form = release.form
    if release.identity.kind == "interpreted":
        return bool(getattr(executor, "streams", False))
    unchecked = form is not None and not form.checks and not calls_checks(form.inputs, form.outputs)
    return release.identity.kind in ("plan", "neighbours") and unchecked
