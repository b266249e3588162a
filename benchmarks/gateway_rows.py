"""What the rounds through all servers come to: rows, how many times faster ours is, what that is held to,
and the table as text and for a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.gateway_stand import Verdict

TITLES = {
    "floor": "the upstream itself (nginx)",
    "proxy": "nginx as a plain proxy",
    "ours": "Smallforge's gateway",
    "asgi": "a bare ASGI function, uvicorn",
    "fastapi": "a bare FastAPI route",
    "stock": "DSPy's tutorial, FastAPI",
    "mlflow": "MLflow serving the DSPy model",
    "litellm": "LiteLLM's proxy",
    "portkey": "Portkey's gateway",
}
LEAST = {"stock": 10.0, "litellm": 20.0, "portkey": 4.0, "asgi": 0.45}
MEANT_RATE, MOST_OVER_UPSTREAM_MS, MOST_P99_MS = 2500.0, 0.7, 3.0


@dataclass(frozen=True)
class Turn:
    """One server's turn in one round. Latencies are those of a constant rate; `cpu_ms` is per request."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    rss_mib: float
    pss_mib: float
    failed: int
    kept_up: bool


@dataclass(frozen=True)
class Row:
    """A server's medians over the rounds; `kept_up` only if it did each time, and all failures together."""

    name: str
    turns: Sequence[Turn]

    @property
    def typical(self) -> Turn:
        return Turn(
            requests_per_second=self._median("requests_per_second"),
            p50_ms=self._median("p50_ms"),
            p99_ms=self._median("p99_ms"),
            cpu_ms=self._median("cpu_ms"),
            rss_mib=self._median("rss_mib"),
            pss_mib=self._median("pss_mib"),
            failed=sum(turn.failed for turn in self.turns),
            kept_up=all(turn.kept_up for turn in self.turns),
        )

    def _median(self, name: str) -> float:
        return round(float(median(getattr(turn, name) for turn in self.turns)), 3)


def ratio(rows: Mapping[str, Row], name: str) -> float | None:
    """How many times more requests a second ours answers, round by round; None where one is not here."""
    if "ours" not in rows or name not in rows:
        return None
    pairs = zip(rows["ours"].turns, rows[name].turns, strict=True)
    return median(ours.requests_per_second / other.requests_per_second for ours, other in pairs)


def verdicts(rows: Mapping[str, Row]) -> list[Verdict]:
    judged = [
        Verdict(f"requests a second, times {TITLES[name]}", ratio(rows, name), least)
        for name, least in LEAST.items()
    ]
    ours = rows["ours"].typical if "ours" in rows else None
    floor = rows["floor"].typical if "floor" in rows else None
    over = ours.p50_ms - floor.p50_ms if ours and floor else None
    rate, p99, failed = (ours.requests_per_second, ours.p99_ms, ours.failed) if ours else (None, None, None)
    return [
        *judged,
        Verdict("requests that failed", failed, 0, at_least=False),
        Verdict("requests a second", rate, MEANT_RATE, counts=False),
        Verdict("p50 above the upstream's own, ms", over, MOST_OVER_UPSTREAM_MS, False, counts=False),
        Verdict("p99, ms", p99, MOST_P99_MS, False, counts=False),
    ]


def table(rows: Mapping[str, Row], absent: Mapping[str, str]) -> str:
    """All that was measured, for a terminal."""
    heads = ("req/s", "p50 ms", "p99 ms", "CPU ms", "RSS", "PSS", "failed", "ours is")
    lines = [f"{'':32}" + "".join(f"{head:>10}" for head in heads)]
    for name in TITLES:
        if name in rows:
            seen = rows[name].typical
            cells = [*_cells(seen), f"{seen.rss_mib:.0f}", f"{seen.pss_mib:.0f}", str(seen.failed)]
            lines.append(f"{TITLES[name]:32}" + "".join(f"{x:>10}" for x in (*cells, _times(rows, name))))
        elif name in absent:
            lines.append(f"{TITLES[name]:32}  not here: {absent[name]}")
    return "\n".join(lines)


def page_table(rows: Mapping[str, Row], absent: Mapping[str, str]) -> str:
    """The same in Markdown, without what only a person at the bench needs."""
    lines = [
        "| | requests/s | p50 ms | p99 ms | CPU ms | MiB | ours is |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in TITLES:
        if name in rows:
            seen = rows[name].typical
            cells = (TITLES[name], *_cells(seen), f"{seen.pss_mib:.0f}", _times(rows, name))
            lines.append("| " + " | ".join(cells) + " |")
        elif name in absent:
            lines.append(f"| {TITLES[name]} | not measured | | | | | |")
    return "\n".join(lines) + "\n"


def _cells(seen: Turn) -> tuple[str, str, str, str]:
    waits = (f"{seen.p50_ms:.2f}", f"{seen.p99_ms:.2f}") if seen.kept_up else ("overrun", "overrun")
    return (f"{seen.requests_per_second:,.0f}", *waits, f"{seen.cpu_ms:.2f}")


def _times(rows: Mapping[str, Row], name: str) -> str:
    found = None if name == "ours" else ratio(rows, name)
    return "" if found is None else f"{found:.2f}x" if found < 10 else f"{found:.0f}x"
