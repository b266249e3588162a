"""What is lost when clients leave and engines are killed or err: nothing, and this shows it.

Prints a table; with --save it also writes the result with date and machine, and the table in
docs/reliability.md. Engines are scripted, each a process of its own: real sockets, real kills.

    python -m benchmarks.reliability                      1,000 clients leave, engines are killed 20 times
    python -m benchmarks.reliability --disconnects 100 --kills 2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.gateway_stand import ROOT, STOPPED, Verdict, exit_code, write_result
from benchmarks.reliability_rows import Disconnects, Kills, Told, disconnects, faults, kills
from benchmarks.surroundings import BenchmarkFailed, write_between

SLACK = 0.5  # seconds that an error may come later than its time limit says
PAGE = ROOT / "docs" / "reliability.md"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--disconnects", type=int, default=1000, help="clients that leave")
    parser.add_argument("--kills", type=int, default=20, help="times that an engine is killed")
    parser.add_argument("--save", action="store_true", help="write the result and the table of the page")
    options = parser.parse_args(argv)
    try:
        left = disconnects(options.disconnects)
        killed = kills(options.kills)
        told = faults()
        found = verdicts(left, killed, told)
        print(table(left, killed, told))
        print("\n".join(verdict.line() for verdict in found))
        if options.save:
            rows = {
                "disconnects": asdict(left),
                "kills": asdict(killed),
                "faults": [_row(one) for one in told],
            }
            print("saved", write_result("reliability", rows, found))
            write_between(PAGE, "reliability", table(left, killed, told))
    except BenchmarkFailed as error:
        print(f"stopped: {error}", file=sys.stderr)
        return STOPPED
    return exit_code(found)


def verdicts(left: Disconnects, killed: Kills, told: Sequence[Told]) -> list[Verdict]:
    late = [one for one in told if one.seconds > one.expected.seconds + SLACK]
    wrong = [one for one in told if not one.right]
    return [
        Verdict(
            "requests left running by clients that left", left.still_running + left.still_counted, 0, False
        ),
        Verdict("failed requests that had not begun to stream", killed.failed, 0, at_least=False),
        Verdict("faults with another error than the documented one", len(wrong), 0, at_least=False),
        Verdict("faults told too late", len(late), 0, at_least=False),
    ]


def table(left: Disconnects, killed: Kills, told: Sequence[Told]) -> str:
    """Markdown, for the page and for the eye."""
    moments = ", ".join(f"{number:,} {kind}" for kind, number in sorted(left.left.items()))
    broken = f"{killed.broken_off:,} streams that had begun ended with an error"
    lines = [
        "| What happens | What is lost |",
        "|---|---|",
        f"| {sum(left.left.values()):,} clients leave ({moments}) "
        f"| {left.still_running} requests left running |",
        f"| an engine of two is killed {killed.killed} times under load "
        f"| {killed.failed} of {killed.requests:,} requests that had not begun to stream; "
        f"{killed.sent_again:,} were sent again, {broken} |",
        f"| {len(told)} faults of an engine | {sum(one.right for one in told)} told as below, the latest "
        f"{max(one.seconds - one.expected.seconds for one in told):.2f} s after its limit |",
        "",
        "| Fault | The client is told | After | Limit |",
        "|---|---|---|---|",
        *(_line(one) for one in told),
    ]
    return "\n".join(lines) + "\n"


def _line(one: Told) -> str:
    expected = one.expected
    name = expected.fault.replace("_", " ") + (", streamed" if expected.streams else "")
    how = f"{one.status} `{one.code}`" if one.status != 200 else f"a last event `{one.code}`"
    limit = f"{expected.seconds:g} s" if expected.seconds else "at once"
    return f"| {name} | {how}{'' if one.right else ', which is wrong'} | {one.seconds:.2f} s | {limit} |"


def _row(one: Told) -> dict[str, object]:
    return {**one.expected._asdict(), "status": one.status, "told": one.code, "after": one.seconds}


if __name__ == "__main__":
    sys.exit(main())
