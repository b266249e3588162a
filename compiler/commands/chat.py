"""`compiler chat`: a conversation with a release on the terminal, or a line at a time through a pipe.

Answers go to standard output, everything else to standard error.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from compiler.charge import Charge, charge_by
from compiler.options import choice, read_flags, with_settings, with_tables
from compiler.releases import find_release
from compiler.run import ModelChoice, require_dspy
from compiler.terminal import say, visible
from engine.errors import ContextWindowExceeded, EngineError
from engine.prices import price_of
from programs.errors import CheckFailed, InputInvalid, ReplyUnparseable
from programs.execution import Outcome
from programs.loading import load_program
from programs.reader import FieldDelta
from programs.release import Release, read_release

if TYPE_CHECKING:
    from compiler.evaluation.conversation import Conversation, Took
    from engine.local import Student

_NOTICE = 0.01  # seconds
HELP = "/reset forgets the earlier turns, /inputs says what the program takes, /quit or Ctrl-D ends."


@click.command()
@click.argument("release", metavar="RELEASE")
@click.option("--system", metavar="TEXT", help="For the input that takes a chat's system text.")
@click.option("--student", metavar="URL|NAME", help="Server, or a student of the configuration. [its own]")
@click.option("--program", metavar="NAME|FILE.py", help="Where its program is, if it is interpreted.")
@with_tables
@with_settings
def chat(release: str, system: str | None, **flags: Any) -> None:
    """Talk to RELEASE: NAME, NAME@candidate or NAME@VERSION.

    Answers are streamed; reasoning is shown dim, and after each answer what it took.
    """
    found = read_release(find_release(read_flags(flags).releases, release))
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        try:
            talk = runner.run(_open(opened, flags, found, system))
            failed = _converse(runner, talk)
        finally:
            runner.run(opened.aclose())
    if failed and not sys.stdin.isatty():
        sys.exit(2)


class Talk:
    """A conversation, and the screen it is shown on."""

    def __init__(self, conversation: Conversation, student: Student, charge: Charge) -> None:
        self.conversation = conversation
        self._student, self._charge = student, charge
        self._out, self._err = Console(), Console(stderr=True)

    def begin(self, name: str) -> None:
        self.note(f"{name} on {self._student.name!r}. {HELP}")
        if self.conversation.ignored:
            self.note(self.conversation.ignored)

    def note(self, line: str) -> None:
        say(self._err, line)

    async def turn(self, text: str) -> None:
        """One answer, streamed, then what it took; the same also of one that fails."""
        from compiler.evaluation.conversation import Meter

        # The loop stood still while somebody typed: it has yet to see which connections the server closed.
        await asyncio.sleep(_NOTICE)
        meter = Meter(self._student.client, self._charge)
        shown = _Shown(self.conversation.answer, self._out, self._err)
        try:
            async for piece in self.conversation.ask(text, meter):
                shown.add(piece)
        finally:
            shown.end()
            took = meter.took()
            if took.calls:
                self._err.print(_describe(took), style="dim", markup=False, highlight=False)


class _Shown:
    """The answer as it arrives: one output after the other, the answer itself on standard output."""

    def __init__(self, answer: str, out: Console, err: Console) -> None:
        self._answer, self._out, self._err = answer, out, err
        self._field: str | None = None

    def add(self, piece: FieldDelta | Outcome) -> None:
        if isinstance(piece, Outcome):
            if not piece.complete:
                self.end()
                say(self._err, "The token limit cut the answer.")
            return
        if piece.field != self._field:
            self.end()
            self._field = piece.field
        style, console = None if self._field == self._answer else "dim", self._console()
        text = visible(piece.text) if console.is_terminal else piece.text
        console.print(text, end="", style=style, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        if self._field is not None:
            self._console().print()
            self._field = None

    def _console(self) -> Console:
        return self._out if self._field == self._answer else self._err


async def _open(
    opened: AsyncExitStack, flags: Mapping[str, Any], release: Release, system: str | None
) -> Talk:
    from engine.local import open_student

    require_dspy()
    from compiler.evaluation.conversation import Conversation
    from compiler.evaluation.serving_form import serving_form

    program = None if flags["program"] is None else load_program(flags["program"])
    tables = read_flags(flags).tables
    conversation = Conversation(release.identity.program, serving_form(release, program), system, tables)
    given = flags["student"]
    asked = choice(flags, given) if given else ModelChoice(read_flags(flags), release.identity.student)
    student = await opened.enter_async_context(
        open_student(*asked, lambda line: say(Console(stderr=True), line))
    )
    talk = Talk(conversation, student, charge_by(price_of(student.engine)))
    talk.begin(release.name)
    return talk


def _converse(runner: asyncio.Runner, talk: Talk) -> bool:
    """Until /quit or the end of the input; whether a turn failed.

    Raises:
        EngineError: through a pipe, where nobody can try again.
    """
    failed = False
    while (text := _next_line()) is not None:
        if not text.strip():
            continue
        if text.startswith("/") and " " not in text.strip():
            if not _command(text.strip(), talk):
                break
            continue
        try:
            runner.run(talk.turn(text))
        except KeyboardInterrupt:
            talk.note("Stopped.")
        except ContextWindowExceeded as error:
            failed = True
            talk.note(f"{error} /reset makes room.")
        except EngineError as error:
            if not sys.stdin.isatty():
                raise
            talk.note(str(error))
        except (InputInvalid, ReplyUnparseable, CheckFailed) as error:
            failed = True
            talk.note(f"No answer: {error}.")
    return failed


def _command(text: str, talk: Talk) -> bool:
    """Whether the conversation goes on."""
    if text == "/quit":
        return False
    if text == "/reset":
        talk.conversation.reset()
        talk.note("The earlier turns are forgotten.")
    elif text == "/inputs":
        for line in talk.conversation.describe_inputs():
            talk.note(line)
    else:
        talk.note(HELP if text == "/help" else f"There is no {text}. {HELP}")
    return True


def _next_line() -> str | None:
    """What is typed, None at the end."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input("> ")
    except (EOFError, KeyboardInterrupt):
        click.echo()
        return None


def _describe(took: Took) -> str:
    calls = f"{took.calls} call{'s' if took.calls != 1 else ''}"
    counted = took.prompt_tokens is not None and took.completion_tokens is not None
    tokens = f"{took.prompt_tokens} + {took.completion_tokens} tokens" if counted else "tokens unknown"
    cost = "cost unknown" if took.usd is None else f"{took.usd:.2g} USD"
    return f"[{calls}, {tokens}, {cost}]"
