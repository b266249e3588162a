"""How much of a large model's score a small one reaches, by which optimiser, and at which share of its cost.

For a student and a reference model: zero-shot, manual few-shot and each optimiser on each task, on held-out
rows through the gateway's executor; one table, one picture, and a verdict for each task on the goal of 90 %
of the reference's score at under 5 % of its cost. docs/study.md says how to read it.

    engine serve --port 8100 &
    python benchmarks/small_to_large.py --student http://127.0.0.1:8100 --reference URL --out studies/first
    python benchmarks/small_to_large.py --student http://127.0.0.1:8100 --student-usd-per-hour 2 \\
        --reference huggingface/meta-llama/Llama-3.3-70B-Instruct --rows 300 --out studies/second

What is finished stays: the same command again makes what is missing, and asks nothing twice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.build import ROOT, machine
from benchmarks.study_cells import PLAIN, REFERENCE
from benchmarks.study_models import open_models, wait_for_models
from benchmarks.study_options import Options, parser, read_options
from benchmarks.study_plot import plot
from benchmarks.study_published import read_published
from benchmarks.study_rows import TaskRows, compare, left_out
from benchmarks.study_run import Missing, Plan, Workplace
from benchmarks.study_table import Study, document
from benchmarks.study_tasks import Tasks, load_tasks
from benchmarks.surroundings import BenchmarkFailed, gpus, write_between
from compiler.errors import CompilerError
from compiler.run import INTERRUPTED, require_dspy
from engine.errors import EngineError
from programs.errors import ProgramError

PAGE, PICTURE = ROOT / "docs" / "study.md", "study.png"
RESULTS = ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all of it is measured, 1 something failed, 2 a mistake of yours, 130 interrupted."""
    try:
        require_dspy()
        options = read_options(parser(__doc__ or "").parse_args(arguments))
        tasks = load_tasks(options.tasks, options.drawing)
        ended_early = _measure(options, tasks)
        study = gather(options, tasks)
        print(write(options.shelf.folder, study))
        if options.write_docs:
            write_docs(study, PAGE, RESULTS)
    except BenchmarkFailed as error:
        return _told(str(error), 2)
    except (CompilerError, EngineError) as error:
        return _told(str(error), error.exit_code)
    failed = study.refused or any(_failed(found) for found in study.tasks)
    return int(bool(failed)) if ended_early is None else ended_early


def gather(options: Options, tasks: Tasks) -> Study:
    """All that is measured so far."""
    found = []
    last, loads = "", list[float]()
    for task in tasks.known:
        names = (PLAIN, REFERENCE, *options.built)
        cells = {name: cell for name in names if (cell := options.shelf.read(task, name)) is not None}
        last = max([last, *(cell.at for cell in cells.values())])
        loads += [cell.load for cell in cells.values() if cell.load is not None]
        found.append(left_out(compare(task, options.built, cells), options.left_out))
    here = {**machine(), "gpus": gpus()}
    asked = options.shelf.asked() or options.as_asked()
    at = last or datetime.now(UTC).isoformat(timespec="seconds")
    return Study(at, asked, here, found, tasks.refused, loads)


def write(folder: Path, study: Study) -> str:
    """The study as files of its folder: result.json, table.md and the picture; returns the text."""
    folder.mkdir(parents=True, exist_ok=True)
    text = document(study, read_published(), "plot.png")
    (folder / "table.md").write_text(text, encoding="utf-8")
    (folder / "result.json").write_bytes(_result(study))
    plot(study.tasks, folder / "plot.png", folder / "plot.svg")
    return text


def write_docs(study: Study, page: Path, results: Path) -> None:
    """Puts the study between the two marks of the page, its picture beside it, and the result in a file.

    Raises:
        BenchmarkFailed: the page lacks a mark.
    """
    write_between(page, "study", document(study, read_published(), PICTURE))
    plot(study.tasks, page.parent / PICTURE)
    (results / f"{study.at[:10]}-small-to-large.json").write_bytes(_result(study))


def _measure(options: Options, tasks: Tasks) -> int | None:
    """Makes what is missing; the exit code where that ended early, None where it did not."""
    shelf, retry = options.shelf, options.retry
    missing = Plan(tuple(tasks.known.values()), options.built).missing(shelf, retry)
    begun = shelf.asked()
    same = begun is None or {**begun, "named": options.as_named(), **options.as_asked()} == begun
    if not missing and same:
        return None
    try:
        wait_for_models(options.named, options.wait)
        asyncio.run(_make(options, missing))
    except KeyboardInterrupt:
        return _told("Interrupted; the same command goes on where it stopped.", INTERRUPTED)
    except (CompilerError, EngineError, ProgramError) as error:
        code = 2 if isinstance(error, ProgramError) else error.exit_code
        return _told(f"{error}\nThe study ended early; the same command goes on where it stopped.", code)
    return None


async def _make(options: Options, missing: Missing) -> None:
    async with open_models(options.named, lambda line: print(line, file=sys.stderr)) as models:
        asked = {**models.as_asked(), **options.as_asked()}
        options.shelf.begin(asked, {"named": options.as_named()})
        await Workplace(options.shelf, models, options.terms).make_all(missing)


def _failed(found: TaskRows) -> bool:
    return any(row.reason is not None and row.reason.startswith("failed") for row in found.rows)


def _result(study: Study) -> bytes:
    return orjson.dumps(study.as_dict(), option=orjson.OPT_INDENT_2) + b"\n"


def _told(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
