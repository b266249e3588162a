"""The trainer for educators: prepare lessons, train the teaching program on them, ask what was trained.

Plain calls over the same build as `compiler build teaching`; also in a notebook, where a loop runs already.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from rich.console import Console

from compiler.backstage import Backstage
from compiler.errors import BuildFault, UserMistake
from compiler.events import BuildResult
from compiler.lesson_files import Prepared, prepare_folder, prepare_rows
from compiler.options import choice, console, read_flags
from compiler.releases import find_release
from compiler.request import DEFAULT_OPTIMIZER, BuildRequest, DataPaths
from compiler.run import (
    Asked,
    Memory,
    ModelChoice,
    check_begun,
    check_request,
    follow,
    how_to_resume,
    require_dspy,
)
from compiler.spending import Ceiling
from compiler.terminal import say, show_result
from programs.data import benchmark_rows, data_folder
from programs.loading import load_program
from programs.program import SPLITS
from programs.release import canonical_json, read_release
from programs.tasks.lesson_rows import inputs_of
from programs.tasks.teaching import MATHDIAL

if TYPE_CHECKING:
    from engine.local import Student
    from programs.execution import Executor

PROGRAM = "teaching"
_NO_ARGUMENTS: Mapping[str, object] = {}


class _Class(NamedTuple):
    """A release that is being asked, by its name, and the student that answers."""

    name: str
    executor: Executor
    student: Student
    own: bool
    """It is the student that the release was trained for."""


class PedagogicalTrainer:
    """Trains a student model to answer as a teacher does, and asks it.

    `student` and `teacher` are URLs or names of the configuration, as `compiler build` takes them: without a
    student it is the one that the configuration means, without a teacher the build has no judge. Close it, or
    use it in a `with` block, so that an engine it started ends. Mistakes are raised as one sentence.
    """

    def __init__(
        self,
        student: str | None = None,
        *,
        teacher: str | None = None,
        releases: str | Path | None = None,
        config: str | Path | None = None,
        show: bool = True,
    ) -> None:
        self._flags = {
            "config": None if config is None else Path(config),
            "releases": None if releases is None else Path(releases),
        }
        self._settings = read_flags(self._flags)
        self._student, self._teacher = student, teacher
        self._out, self._err = console(quiet=not show), Console(stderr=True, quiet=not show)
        self._backstage = Backstage()
        # Also of a trainer that nobody closes, as in a notebook, when it is forgotten or Python ends.
        self._closed = weakref.finalize(self, self._backstage.close)
        self._asked: _Class | None = None
        self._prepared: Prepared | None = None
        self._trained: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the student; an engine that was started for it ends."""
        self._closed()

    def prepare_data(self, folder: str | Path) -> Prepared:
        """The lessons of all jsonl, json, csv, tsv, md and txt files below the folder.

        `train` takes them next. What could not be used is in `skipped`, each with its reason.

        Raises:
            UserMistake: no lesson to train with.
        """
        self._prepared = prepare_folder(Path(folder), self._settings.state / "lessons")
        say(self._err, str(self._prepared))
        return self._prepared

    def prepare_mathdial(self) -> Prepared:
        """The public MathDial conversations: from SMALLFORGE_DATA, else by the `datasets` library.

        Raises:
            DataInvalid: neither source is there; says how to get each.
        """
        folder = data_folder()
        rows = {split: benchmark_rows(PROGRAM, split, MATHDIAL, folder) for split in SPLITS}
        self._prepared = prepare_rows(rows, self._settings.state / "lessons", "MathDial")
        say(self._err, str(self._prepared))
        return self._prepared

    def train(
        self,
        data: Prepared | None = None,
        *,
        optimizer: str = DEFAULT_OPTIMIZER,
        arguments: Mapping[str, object] = _NO_ARGUMENTS,
        seed: int = 0,
        max_usd: float | None = None,
        resume: str | None = None,
    ) -> BuildResult:
        """One build: its result has `baseline` and `compiled` with their `mean`, and the release's `path`.

        Without `data` it takes what was prepared last, without that the program's own lessons. `resume` is
        the id of an interrupted build that is to go on.

        Raises:
            CompilerError, EngineError, ProgramError: sentences for the user.
        """
        require_dspy()
        self._dismiss()
        lessons = data or self._prepared
        settings = self._settings
        request = BuildRequest(
            program=load_program(PROGRAM),
            data=DataPaths() if lessons is None else lessons.data,
            optimizer=optimizer,
            arguments=dict(arguments),
            seed=seed,
            concurrency=settings.compiler.concurrency,
            ceiling=Ceiling(settings.compiler.max_usd if max_usd is None else max_usd),
            releases=settings.releases,
            state=settings.state,
            build_id=resume,
        )
        if resume is not None:
            check_begun(settings.state, resume)
        check_request(request)
        asked = Asked(
            request=request,
            student=self._choice(self._student),
            teacher=None if self._teacher is None else self._choice(self._teacher),
            mlflow_uri=settings.compiler.mlflow_uri,
            again=lambda build_id: f"trainer.train(..., resume={build_id!r})",
        )
        memory = Memory()
        try:
            self._backstage.run(follow(asked, memory, self._err))
        except KeyboardInterrupt:
            say(self._err, how_to_resume(asked, memory))
            raise
        if memory.result is None:
            raise BuildFault("the build ended without a result; please report it")
        show_result(self._out, memory.result)
        self._trained = f"{PROGRAM}@{memory.result.version}"
        return memory.result

    def generate(
        self,
        query: str,
        context: str | None = None,
        grade: str | int | None = None,
        subject: str | None = None,
        *,
        release: str | None = None,
    ) -> str:
        """The answer of the release that was trained last, without one of the champion, or of the one named.

        It is run as the gateway runs it; what is given is read as the fields of a lesson are, so an empty one
        is as good as none. Warns where the token limit cut the answer.

        Raises:
            ReleaseNotFound: there is none yet.
            DataInvalid: what is given is no text; says which.
            ReplyUnparseable, EngineError: the answer failed.
        """
        words: object = query  # of a table it may be anything
        if not isinstance(words, str) or not words.strip():
            raise UserMistake(f"query={query!r} asks nothing: give the student's words")
        given = {"query": query, "context": context, "grade": grade, "subject": subject}
        inputs = inputs_of({name: value for name, value in given.items() if value is not None})
        asked = self._class(release or self._trained or PROGRAM)
        outcome = self._backstage.run(asked.executor.run(inputs, asked.student.client, {}))
        answer = str(outcome.outputs.get(asked.executor.chat.answer, ""))
        if outcome.finish_reason == "length":
            warnings.warn("the token limit cut the answer", stacklevel=2)
        return answer

    def _class(self, name: str) -> _Class:
        """The release with its student, opened once for all questions."""
        if self._asked is None or self._asked.name != name:
            self._dismiss()
            self._asked = self._open(name)
            if not self._asked.own:
                student = self._asked.student.name
                warnings.warn(f"{name!r} was trained for another student than {student!r}", stacklevel=3)
        return self._asked

    def _open(self, name: str) -> _Class:
        from engine.local import open_student

        require_dspy()
        from compiler.evaluation.serving_form import serving_form

        release = read_release(find_release(self._settings.releases, name))
        executor = serving_form(release)
        err = self._err  # not the trainer, which would then never be forgotten
        chosen = self._choice(self._student, release.identity.student)
        student = self._backstage.enter(open_student(*chosen, lambda line: say(err, line)))
        theirs = canonical_json(dict(release.identity.fingerprint))
        own = canonical_json(dict(student.fingerprint.as_dict())) == theirs
        return _Class(name, executor, student, own)

    def _choice(self, given: str | None, otherwise: str | None = None) -> ModelChoice:
        return ModelChoice(self._settings, otherwise) if given is None else choice(self._flags, given)

    def _dismiss(self) -> None:
        self._asked = None
        self._backstage.clear()
