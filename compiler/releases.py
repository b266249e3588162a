"""The releases on disk as a person asks for them: list, show, verify, promote, roll back.

Reads releases and their evidence only; no program is loaded and no model asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.aliases import Aliases, move_alias, previous_champion, read_aliases
from programs.errors import ReleaseInvalid, ReleaseNotFound
from programs.plan import Plan
from programs.program import Chat, Sampling
from programs.release import Release, read_release, verify_evidence


@dataclass(frozen=True)
class Scores:
    """What one build measured, read from its evidence."""

    build_id: str
    optimizer: str
    before: float
    after: float
    low: float
    high: float
    n: int
    p: float
    proven: bool
    weak: bool
    usd_per_answer: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    """Per answer, as are the seconds, which are a median; None where nobody could tell."""
    seconds: float | None = None


@dataclass(frozen=True)
class Shelved:
    """One release in a listing; `problem` says why it can't be used, where it can't."""

    name: str
    aliases: tuple[str, ...]
    kind: str
    scores: Scores | None
    problem: str | None = None


def list_releases(root: Path) -> list[Shelved]:
    """Every release of every program; a damaged one is listed with its problem."""
    return [_shelve(path, _aliases_or_none(path.parent)) for path in _release_folders(root)]


def find_release(root: Path, name: str) -> Path:
    """The folder of `program`, `program@champion`, `program@candidate` or `program@version`.

    Raises:
        ReleaseNotFound: there is none; says what there is.
    """
    program, _, wanted = name.partition("@")
    if program not in _programs(root):
        known = ", ".join(_programs(root)) or "none"
        raise ReleaseNotFound(f"no releases of {program!r} in {str(root)!r}; there are releases of: {known}")
    folder = root / program
    versions = [path.name for path in _release_folders(root) if path.parent == folder]
    aliases = read_aliases(folder)
    if wanted in ("", "champion"):
        version = aliases.champion
    else:
        version = aliases.candidate if wanted == "candidate" else wanted
    if version is None:
        raise ReleaseNotFound(
            f"{program!r} has no {wanted or 'champion'}; its versions are {', '.join(versions)}"
        )
    if version not in versions:
        raise ReleaseNotFound(
            f"{program!r} has no release {version!r}; its versions are {', '.join(versions)}"
        )
    return folder / version


def describe_release(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """Identity and evidence of a release, as labelled lines.

    Raises:
        ReleaseInvalid: the release or its evidence was changed.
    """
    release = read_release(find_release(root, name))
    identity = release.identity
    yield "release", release.name
    yield "aliases", ", ".join(_aliases_of(read_aliases(release.path.parent), identity.version)) or "none"
    yield "kind", _describe_kind(release)
    yield "student", f"{identity.student!r}, fingerprint {_describe_fingerprint(identity.fingerprint)}"
    form = release.form
    if form is not None:
        inputs = (f"{f.name} ({f.type}{'' if f.required else ', optional'})" for f in form.inputs)
        yield "inputs", ", ".join(inputs)
        yield "outputs", ", ".join(f"{f.name} ({f.type})" for f in form.outputs)
    asked = form or identity.interpreted
    if asked is not None:
        yield "chat", _describe_chat(asked.chat)
        yield "sampling", _describe_sampling(asked.sampling)
    for scores in evidence_of(release.path):
        yield "evidence", describe_scores(scores)
    for evaluation in evaluations_of(release.path):
        yield "evaluated", evaluation
    for move in read_aliases(release.path.parent).moves:
        if identity.version in (move.version, move.previous):
            yield (
                "moved",
                f"{move.at} {move.alias} {move.previous or 'none'} -> {move.version} ({move.reason})",
            )


def verify_release(root: Path, name: str) -> str:
    """One line that says what was checked.

    Raises:
        ReleaseInvalid: a digest is wrong; says which.
    """
    path = find_release(root, name)
    release = read_release(path)
    intact = verify_evidence(path)
    evaluations = sum(_is_evaluation(path, evidence_id) for evidence_id in intact)
    told = [_counted(len(intact) - evaluations, "build")]
    told += [_counted(evaluations, "evaluation")] if evaluations else []
    return (
        f"{release.name}: identity, {release.identity.kind} and evidence of {' and '.join(told)} are intact"
    )


def promote(root: Path, name: str, reason: str) -> str:
    """Makes a release the champion of its program, once it is verified; `promotion.judge` says whether to."""
    path = find_release(root, named_for_promotion(name))
    release = read_release(path)
    before = read_aliases(path.parent).champion
    if before == release.identity.version:
        return f"{release.name} is the champion already"
    move_alias(path.parent, "champion", release.identity.version, reason)
    return f"{release.name} is the champion now; before it was {before or 'none'}"


def named_for_promotion(name: str) -> str:
    """The name, if it says which release is meant: the program alone would be its champion."""
    if "@" not in name:
        raise ReleaseNotFound(f"say which release of {name!r} to promote: {name}@candidate or {name}@VERSION")
    return name


def rollback(root: Path, program: str) -> str:
    """Makes the champion before the present one champion again."""
    folder = find_release(root, program).parent
    version = previous_champion(folder)
    release = read_release(folder / version)
    undone = read_aliases(folder).champion
    move_alias(folder, "champion", version, f"rollback from {undone}")
    return f"{release.name} is the champion again; {undone} is not"


def evidence_of(path: Path) -> list[Scores]:
    """What each build that made this release measured, oldest name first.

    Raises:
        ReleaseInvalid: a file of the evidence was changed or can't be read.
    """
    return [
        _read_scores(path / "evidence" / build_id / "build.json")
        for build_id in verify_evidence(path)
        if not _is_evaluation(path, build_id)
    ]


def evaluations_of(path: Path) -> Iterator[str]:
    """One line for each evaluation and comparison that measured this release, oldest name first.

    Raises:
        ReleaseInvalid: a file of the evidence was changed or can't be read.
    """
    for evidence_id in verify_evidence(path):
        if _is_evaluation(path, evidence_id):
            yield _describe_evaluation(path / "evidence" / evidence_id / "evaluation.json")


def describe_scores(scores: Scores) -> str:
    marks = [
        mark
        for mark, holds in (("no proven gain", not scores.proven), ("weak evidence", scores.weak))
        if holds
    ]
    return (
        f"{100 * scores.before:.1f} % -> {100 * scores.after:.1f} % on {scores.n} held-out examples "
        f"(95 % interval {100 * scores.low:.1f} to {100 * scores.high:.1f}, paired p {scores.p:.2g}"
        f"{''.join(f', {mark}' for mark in marks)}); {scores.optimizer}, build {scores.build_id}"
    )


def score_cells(scores: Scores | None) -> tuple[str, ...]:
    """Score before and after, interval, n and p, for a table."""
    if scores is None:
        return ("", "", "", "")
    interval = f"{100 * scores.low:.1f} to {100 * scores.high:.1f}"
    change = f"{100 * scores.before:.1f} % -> {100 * scores.after:.1f} %"
    return change, interval, str(scores.n), f"{scores.p:.2g}"


def _shelve(path: Path, aliases: Aliases) -> Shelved:
    name = f"{path.parent.name}@{path.name}"
    pointed = _aliases_of(aliases, path.name)
    try:
        release = read_release(path)
        evidence = evidence_of(path)
    except ReleaseInvalid as error:
        return Shelved(name, pointed, "damaged", None, str(error))
    return Shelved(name, pointed, release.identity.kind, evidence[-1] if evidence else None)


def _read_scores(path: Path) -> Scores:
    try:
        build = json.loads(path.read_bytes())
        scores = build["scores"]
        return Scores(
            build_id=build["build"],
            optimizer=build["asked"]["optimizer"],
            before=scores["before"]["mean"],
            after=scores["after"]["mean"],
            low=scores["after"]["low"],
            high=scores["after"]["high"],
            n=scores["after"]["n"],
            p=scores["difference"]["p"],
            proven=scores["proven"],
            weak=build["split"]["weak"],
            usd_per_answer=scores["after"].get("usd_per_answer"),
            prompt_tokens=scores["after"].get("prompt_tokens_per_answer"),
            completion_tokens=scores["after"].get("tokens_per_answer"),
            seconds=scores["after"].get("seconds_p50"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseInvalid(f"the evidence {str(path)!r} can't be read: {error}") from error


def _is_evaluation(path: Path, evidence_id: str) -> bool:
    return (path / "evidence" / evidence_id / "evaluation.json").is_file()


def _describe_evaluation(path: Path) -> str:
    try:
        told = json.loads(path.read_bytes())
        scores, data = told["scores"], told["data"]
        return (
            f"{100 * scores['mean']:.1f} % on {data['rows']} rows, {data['source']} (95 % interval "
            f"{100 * scores['low']:.1f} to {100 * scores['high']:.1f}); {told['at'][:10]}, {path.parent.name}"
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseInvalid(f"the evidence {str(path)!r} can't be read: {error}") from error


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _programs(root: Path) -> list[str]:
    return sorted({path.parent.name for path in _release_folders(root)})


def _release_folders(root: Path) -> list[Path]:
    return sorted(
        path.parent for path in root.glob("*/*/release.json") if not path.parent.name.startswith(".")
    )


def _aliases_or_none(folder: Path) -> Aliases:
    """A damaged aliases file hides no release from a listing."""
    try:
        return read_aliases(folder)
    except ReleaseInvalid:
        return Aliases()


def _aliases_of(aliases: Aliases, version: str) -> tuple[str, ...]:
    pointing = {"champion": aliases.champion, "candidate": aliases.candidate}
    return tuple(alias for alias, pointed in pointing.items() if pointed == version)


def _describe_kind(release: Release) -> str:
    if release.neighbours is not None:
        near = release.neighbours
        return (
            f"neighbours: served without DSPy, each request is shown the {near.k} nearest of "
            f"{len(near.demonstrations)} demonstrations, found by {near.embedder.as_dict()['name']}"
        )
    if release.ensemble is not None:
        sizes = " + ".join(f"{_size(plan):,}" for plan in release.ensemble.members)
        return (
            f"ensemble: served without DSPy, {release.ensemble.reduce} of {len(release.ensemble.members)} "
            f"answers, constant prompts of {sizes} characters"
        )
    if release.plan is None:
        return "interpreted: served by DSPy, needs its program installed"
    shown = sum(message.role == "assistant" for message in release.plan.prefix)
    return (
        f"plan: served without DSPy, constant prompt of {_size(release.plan):,} characters with {shown} "
        "demonstrated replies"
    )


def _size(plan: Plan) -> int:
    return sum(len(message.content) for message in plan.prefix)


def _describe_fingerprint(fingerprint: Mapping[str, Any]) -> str:
    known = {name: value for name, value in fingerprint.items() if value}
    return ", ".join(
        f"{name} {value[:12] if isinstance(value, str) else ' '.join(map(str, value))}"
        for name, value in known.items()
    )


def _describe_chat(chat: Chat) -> str:
    taken = {
        "user text": chat.user,
        "system text": chat.system,
        "earlier turns": chat.history,
        "verses referred to": chat.verses,
    }
    parts = [f"{part} -> {name}" for part, name in taken.items() if name]
    reasoning = f", reasoning <- {', '.join(chat.reasoning)}" if chat.reasoning else ""
    return f"{', '.join(parts)}, content <- {chat.answer}{reasoning}"


def _describe_sampling(sampling: Sampling) -> str:
    return ", ".join(f"{name} {value}" for name, value in sampling.as_request().items())
