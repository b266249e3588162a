"""What a build measured, as the files that lie beside its release.

build.json        how it was made and what it scored
scorecard.jsonl   every held-out example, before and after
prompts.json      what a model was sent, before and after
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dspy
import orjson

from compiler.candidate import Candidate
from compiler.cost import cost_of
from compiler.evaluation.answers import Answer, summarise
from compiler.evaluation.contenders import Tested
from compiler.evaluation.duplicates import Duplicates
from compiler.evaluation.second_opinion import Opinions
from compiler.events import BuildResult, Described, Estimated, Look, Role
from compiler.history import History
from compiler.lengths import Lengths
from compiler.proof import Lowered
from compiler.request import BuildRequest
from compiler.split import Parts
from compiler.tracking.parameters import parameters_of, settings_of
from engine.prices import Price
from programs.data import content_key
from programs.json_values import write_json

ROW_NAMES = {"zero-shot": "before", "compiled": "after"}
"""What a contender is called in a scorecard where its role there is what counts."""
LIBRARIES = (
    "smallforge", "dspy", "litellm", "gepa", "optuna", "pydantic", "orjson", "json-repair", "numpy", "scipy",
    "bm25s", "datasketch",
)  # fmt: skip
"""What asks, searches, reads, splits and scores: another version of these can give another result."""


@dataclass(frozen=True)
class Findings:
    """Everything a build came to know."""

    asked: dict[str, Any]
    parts: Parts
    candidate: Candidate
    tested: Sequence[Tested]
    """All contenders, the unoptimised program first, the compiled one last."""
    taught: Sequence[Answer] | None
    """A teacher's answers to training questions, unoptimised; None where there is no teacher."""
    estimated: Estimated | None
    prices: Mapping[Role, Price | None]
    lowered: Lowered
    looks: Sequence[Look]
    """Who had seen these test examples before this build did."""
    stopped: str | None
    """Why the search ended before it was through."""
    history: History
    duplicates: Duplicates
    prompts: Mapping[str, Any]
    """Of the unoptimised and the compiled program, as `before` and `after`."""
    lengths: Mapping[str, Lengths]
    """Of the same two."""
    optimizer: Mapping[str, Any]
    """The one that was asked for, or chosen, with its arguments and who wrote instructions for it."""
    settings: Mapping[str, Any]
    """What was chosen for this build and does not make it another one: limits, files."""
    opinions: Opinions | None = None
    """What a second metric says of the same two programs' answers."""

    @property
    def before(self) -> Sequence[Answer]:
        return self.tested[0].answers

    @property
    def after(self) -> Sequence[Answer]:
        return self.tested[-1].answers


def evidence_files(result: BuildResult, findings: Findings) -> dict[str, bytes]:
    return {
        "build.json": orjson.dumps(_build(result, findings), option=orjson.OPT_INDENT_2, default=str),
        "scorecard.jsonl": b"".join(_rows(findings)),
        "prompts.json": orjson.dumps(findings.prompts, option=orjson.OPT_INDENT_2),
    }


def describe(
    request: BuildRequest, asked: Mapping[str, Any], parts: Parts, optimizer: Mapping[str, Any]
) -> Described:
    """What is known before the search, under the names that `build.json` will give it."""
    known = {"asked": asked, "optimizer": optimizer, "settings": settings_of(request)}
    return Described(
        parameters_of({**known, "split": {"sizes": _sizes(parts)}, "libraries": library_versions()})
    )


def library_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _build(result: BuildResult, findings: Findings) -> dict[str, Any]:
    parts, proof = findings.parts, findings.lowered.proof
    return {
        "build": result.build_id,
        "version": result.version,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": findings.asked,
        "question": findings.lowered.executor.chat.user,
        "optimizer": findings.optimizer,
        "settings": findings.settings,
        "split": {
            "sizes": _sizes(parts),
            "fingerprints": parts.fingerprints(),
            "notes": parts.notes,
            "earlier_looks_at_test": len(findings.looks),
            "earlier_looks": [asdict(look) for look in findings.looks],
            "weak": result.weak,
        },
        "traffic": {split: asdict(origin) for split, origin in parts.traffic.items()},
        "teacher": findings.taught and asdict(summarise(findings.taught)),
        "candidate": {"name": findings.candidate.name, "demos": findings.candidate.demo_count},
        "stopped": findings.stopped,
        "candidates": findings.history.candidates(),
        "history": findings.history.rises(),
        "contenders": [asdict(contender) for contender in result.contenders],
        "concurrency": result.concurrency,
        "duplicates": findings.duplicates.as_dict(result.duplicated),
        "analysis": result.analysis and asdict(result.analysis),
        "second_opinion": result.second_opinion and asdict(result.second_opinion),
        "scores": {
            "before": asdict(result.baseline),
            "after": asdict(result.compiled),
            "difference": asdict(result.difference),
            "proven": result.proven,
        },
        "lowering": {
            "lowered": result.lowered,
            "reason": result.reason,
            "proof": proof and asdict(proof),
        },
        "estimated": findings.estimated and asdict(findings.estimated),
        "spent": asdict(result.spent),
        "cost": asdict(cost_of(result.contenders, result.spent)),
        "prompt": {name: lengths.as_dict() for name, lengths in findings.lengths.items()},
        "prices": {role: price and asdict(price) for role, price in findings.prices.items()},
        "seconds": result.seconds,
        "libraries": library_versions(),
    }


def _sizes(parts: Parts) -> dict[str, int]:
    return {"train": len(parts.train), "dev": len(parts.dev), "test": len(parts.test)}


def _rows(findings: Findings) -> list[bytes]:
    """One line per held-out example and contender."""
    rows = []
    for index, example in enumerate(findings.parts.test):
        key = content_key(example)[:16]
        for tested in findings.tested:
            program = ROW_NAMES.get(tested.name, tested.name)
            # Its inputs once for each example are enough.
            inputs = dict(example.inputs().items()) if program == "before" else None
            row = {"id": index, "example": key, "program": program, "inputs": inputs}
            row |= _second_opinion(findings.opinions, program, index)
            rows.append(scorecard_row(row, example, tested.answers[index]))
    return rows


def _second_opinion(opinions: Opinions | None, program: str, index: int) -> dict[str, object]:
    """As it is written beside a score; nothing where no one was asked."""
    judged = {} if opinions is None else {"before": opinions.before, "after": opinions.after}
    if program not in judged:
        return {}
    found = judged[program][index]
    return {"second_opinion": found and {"score": found.score, "feedback": found.feedback}}


def scorecard_row(named: Mapping[str, Any], example: dspy.Example, answer: Answer) -> bytes:
    """A line of a scorecard; `named` says which example it is of and who answered."""
    row = {
        **named,
        "score": answer.score,
        "parts": answer.parts,
        "feedback": answer.feedback,
        "output": {name: value for name, value in answer.outputs.items()},
        "expected": dict(example.labels().items()),
        "fault": answer.fault,
        "error": answer.error,
        "replies": [step.text for step in answer.steps] if answer.fault else None,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "usd": answer.usd,
        "seconds": answer.seconds,
    }
    return write_json(row, _plain) + b"\n"


def _plain(value: object) -> object:
    return list(value.messages) if isinstance(value, dspy.History) else str(value)
