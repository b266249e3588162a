"""The `compiler` command: its group of verbs, and how errors become sentences and exit codes.

0 done, 1 our fault, 2 the user's mistake, 3 below what was asked for, 130 interrupted and resumable.
"""

from __future__ import annotations

from typing import Any

import click

from compiler.commands.build import build
from compiler.commands.chat import chat
from compiler.commands.data import data
from compiler.commands.download import download
from compiler.commands.evaluation import compare, evaluate
from compiler.commands.models import models
from compiler.commands.report import report
from compiler.commands.serve import serve
from compiler.commands.shelf import list_, promote, rollback, show, verify
from compiler.commands.start import new, programs
from compiler.commands.tracking import log, pull, runs
from compiler.errors import CompilerError
from compiler.options import complain
from engine.errors import EngineError
from programs.errors import DataInvalid, ProgramError

_MOST_MISTAKES = 100  # of a data file, shown on screen


class Commands(click.Group):
    """Turns errors that are sentences into lines on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataInvalid as error:
            complain(*error.mistakes[:_MOST_MISTAKES])
            if len(error.mistakes) > _MOST_MISTAKES:
                complain(f"... and {len(error.mistakes) - _MOST_MISTAKES:,} more")
            ctx.exit(2)
        except ProgramError as error:
            complain(str(error))
            ctx.exit(2)
        except (CompilerError, EngineError) as error:
            complain(str(error))
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smallforge")
def main() -> None:
    """Compile programs for small models, and keep their releases."""


VERBS = (
    build, list_, show, report, verify, evaluate, compare, chat, promote, rollback, runs, log, pull, new,
    programs, models, data, download, serve,
)  # fmt: skip
for verb in VERBS:
    main.add_command(verb)
