"""What is lost when clients leave, engines are killed or err, all is exchanged under load, an hour goes by or
strangers send rubbish: nothing, and this shows it.

Prints a table; with --save it also writes the rows that it measured, with date and machine, beside those that
were measured before, and the table in docs/reliability.md. Engines are scripted, each a process of its own:
real sockets, real kills.

    python -m benchmarks.reliability                                all of it, in about an hour and a quarter
    python -m benchmarks.reliability --only kills --kills 2
    python -m benchmarks.reliability --only hour inputs --minutes 5 --inputs 20000
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.gateway_stand import ROOT, STOPPED, exit_code
from benchmarks.reliability_changes import changes
from benchmarks.reliability_fuzzing import bad_inputs
from benchmarks.reliability_hour import hour
from benchmarks.reliability_kept import Row, keep, kept_rows, table
from benchmarks.reliability_rows import disconnects, faults, kills
from benchmarks.surroundings import BenchmarkFailed, write_between

_TOLD = 6_000  # characters of the numbers of a row that missed a bound
PAGE = ROOT / "docs" / "reliability.md"
ROWS: Mapping[str, Callable[[argparse.Namespace], Row]] = {
    "disconnects": lambda options: disconnects(options.disconnects).row(),
    "kills": lambda options: kills(options.kills).row(),
    "changes": lambda options: changes(options.requests).row(),
    "hour": lambda options: hour(options.minutes).row(),
    "inputs": lambda options: bad_inputs(options.inputs).row(),
    "faults": lambda options: faults().row(),
}
"""In the order of the table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all bounds held, 1 the benchmark could not run, 3 a bound was missed."""
    options = _options(argv)
    rows = kept_rows()
    try:
        measured = {
            name: replace(ROWS[name](options), remark=options.remark) for name in ROWS if name in options.only
        }
        print(table(measured.values()))
        verdicts = [verdict for row in measured.values() for verdict in row.verdicts]
        print("\n".join(verdict.line() for verdict in verdicts))
        for row in measured.values():
            if exit_code(row.verdicts):
                print(f"{row.what}:", json.dumps(row.numbers)[-_TOLD:])
        if options.save:
            rows = {**rows, **measured}
            rows = {name: rows[name] for name in ROWS if name in rows}
            print("saved", keep(rows).relative_to(ROOT))
            write_between(PAGE, "reliability", table(rows.values()))
    except BenchmarkFailed as error:
        print(f"stopped: {error}", file=sys.stderr)
        return STOPPED
    return exit_code(verdicts)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="rows to measure")
    add("--disconnects", type=int, default=1000, help="clients that leave")
    add("--kills", type=int, default=20, help="times that an engine is killed")
    add("--requests", type=int, default=100_000, help="while releases, workers and engines are exchanged")
    add("--minutes", type=float, default=60.0, help="of mixed load")
    add("--inputs", type=int, default=200_000, help="bad inputs")
    add("--remark", default="", help="what one should know of the machine meanwhile")
    add("--save", action="store_true", help="write the result and the table of the page")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
