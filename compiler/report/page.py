"""report.html: the picture of a build, made from its evidence alone.

Plain data in, one self-contained page out: no script, no outside address, every text escaped. A section
whose data is not there is left out; knows nothing of programs and models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from compiler.errors import ReportUnavailable
from compiler.report import text as report_text
from compiler.report.charts import score_against_cost, search_progress
from compiler.report.examples import MOST_CELLS, faults_of, groups_of
from compiler.report.prompts import MOST_MESSAGES, compare_prompts, token_parts
from compiler.report.sentences import cost_lines, data_lines, repeat_command
from programs.errors import ReleaseNotFound
from programs.release import verify_evidence

if TYPE_CHECKING:
    import jinja2

REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_GROUPS = 12  # of failures


@dataclass(frozen=True)
class Evidence:
    """What a build wrote about itself."""

    build: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    prompts: Mapping[str, Any]


def read_evidence(files: Mapping[str, bytes]) -> Evidence:
    """From the files of an evidence folder by their names; those of older builds may lack some.

    Raises:
        ReportUnavailable: they are not what a build writes.
    """
    try:
        return Evidence(
            orjson.loads(files["build.json"]),
            [orjson.loads(line) for line in files.get("scorecard.jsonl", b"").splitlines()],
            orjson.loads(files.get("prompts.json", b"{}")),
        )
    except (KeyError, ValueError) as error:
        raise ReportUnavailable(f"the evidence can't be read: {type(error).__name__}: {error}") from error


def find_evidence(release: Path, build_id: str | None = None) -> dict[str, bytes]:
    """The checked files that a build, by default the last one, left beside a release.

    Raises:
        ReleaseInvalid: a file was changed.
        ReleaseNotFound: no such build made the release; names those that did.
    """
    builds = verify_evidence(release)
    chosen = build_id or (builds[-1] if builds else None)
    if chosen not in builds:
        name, known = f"{release.parent.name}@{release.name}", ", ".join(builds) or "none"
        raise ReleaseNotFound(f"{name} has no evidence of a build {chosen or ''!r}; there is: {known}")
    folder = release / "evidence" / chosen
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def with_report(files: Mapping[str, bytes], tell: Callable[[str], None]) -> dict[str, bytes]:
    """The files with the report among them; without it, and told why, where its libraries are missing."""
    try:
        return {**files, REPORT: make_report(read_evidence(files)).encode()}
    except ReportUnavailable as error:
        tell(f"No {REPORT} was written: {error}")
        return dict(files)


def make_report(evidence: Evidence) -> str:
    """The page.

    Raises:
        ReportUnavailable: a library is not installed, or the evidence is not what a build writes.
    """
    try:
        import jinja2

        return _template().render(_view(evidence))
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"reports need {error.name!r}, which is not installed: pip install 'smallforge[compiler]'"
        ) from error
    except (AttributeError, LookupError, TypeError, ValueError, jinja2.TemplateError) as error:
        raise ReportUnavailable(f"the evidence can't be drawn: {type(error).__name__}: {error}") from error


@cache
def _template() -> jinja2.Template:
    """Compiled once: a study or a server makes many reports."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("plain", "one_line", "percent", "points", "p_value", "usd", "count", "duration", "moment"):
        pages.filters[name] = getattr(report_text, name)
    return pages.get_template("report.html.jinja")


def _view(evidence: Evidence) -> dict[str, Any]:
    """All that the template shows, by section."""
    build, scores = evidence.build, evidence.build["scores"]
    chosen = (build.get("candidate") or {}).get("name", "")
    candidates = build.get("candidates") or []
    analysis = build.get("analysis") or {}
    groups = groups_of(evidence.rows, build.get("question"))
    return {
        "build": build,
        "asked": build["asked"],
        "scores": scores,
        "contenders": build.get("contenders") or _two_contenders(scores),
        "scale": _scale(build.get("contenders") or _two_contenders(scores)),
        "candidates": candidates,
        "charts": _charts(candidates, chosen),
        "chosen": chosen,
        "groups": groups,
        "drawn_all": sum(group.n for group in groups) <= MOST_CELLS,
        "compared": sum(group.n for group in groups),
        "faults": faults_of(evidence.rows),
        "opinion": build.get("second_opinion"),
        "failures": (analysis.get("groups") or [])[:_MOST_GROUPS],
        "tokens": _tokens(build.get("prompt") or {}),
        "reckoned": any(side.get("counting") == "reckoned" for side in (build.get("prompt") or {}).values()),
        "ensemble": any(" (member " in name for name in _both(evidence.prompts)[1]),
        "note": evidence.prompts.get("note"),
        "prompts": compare_prompts(*_both(evidence.prompts), (build.get("candidate") or {}).get("demos")),
        "most_messages": MOST_MESSAGES,
        "expected": {(part["phase"], part["role"]): part["calls"] for part in _expected(build)},
        "cost_lines": cost_lines(build),
        "duplicates": build.get("duplicates") or {},
        "data_lines": data_lines(build),
        "command": repeat_command(build["asked"], build.get("settings") or {}),
    }


def _charts(candidates: Sequence[Mapping[str, Any]], chosen: str) -> list[tuple[str, str]]:
    drawn = {
        "Progress": search_progress(candidates, chosen),
        "Score against prompt size": score_against_cost(candidates, chosen),
    }
    return [(title, chart) for title, chart in drawn.items() if chart is not None]


def _two_contenders(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": "zero-shot", "summary": scores["before"], "against": scores["difference"]},
        {"name": "compiled", "summary": scores["after"], "against": None},
    ]


def _scale(contenders: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The scores from which to which intervals are drawn: tenths, all of them within."""
    low = min(float(one["summary"]["low"]) for one in contenders)
    high = max(float(one["summary"]["high"]) for one in contenders)
    return int(10 * low) / 10, min(1.0, (int(10 * high) + 1) / 10)


def _both(prompts: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return prompts.get("before") or {}, prompts.get("after") or {}


def _tokens(lengths: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts of a call before and after."""
    sides = []
    for name, title in (("before", "Unoptimised"), ("after", "Compiled")):
        parts = token_parts(lengths.get(name) or {})
        if parts:
            sides.append({"title": title, "parts": parts, "total": sum(part.tokens for part in parts)})
    return sides


def _expected(build: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What was estimated, phase by phase."""
    return (build.get("estimated") or {}).get("phases") or ()
