"""Which examples train, select and test: seeded, disjoint by content, fingerprinted.

Decided before any model is asked anything. Knows nothing of optimisers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import dspy

from compiler.errors import DataTooSmall
from compiler.request import BuildRequest
from compiler.traffic.provenance import Provenance, provenance_of
from programs.checks import Check, broken_by_label
from programs.data import content_key, fingerprint, load_examples
from programs.plan import Field
from programs.program import SPLITS, AsFields, Split
from programs.verses import examples_with_verses

Examples = tuple[dspy.Example, ...]

SHARES: Mapping[Split, int] = {"train": 60, "dev": 20, "test": 20}
LEAST_ROWS = 10
WEAK_BELOW = 100


class Needed(NamedTuple):
    """The fields that rows of a file must have."""

    inputs: Sequence[Field]
    labels: Sequence[Field | str]
    """Of one given by its bare name the type is nobody's business."""
    as_fields: AsFields | None = None
    """What makes a row of a file hold them."""


@dataclass(frozen=True)
class Parts:
    """The examples of a build; no two parts share an example's inputs."""

    train: Examples
    dev: Examples
    test: Examples
    notes: tuple[str, ...] = ()
    """What was cut or left out, one sentence each."""
    traffic: Mapping[Split, Provenance] = field(default_factory=dict)
    """Of the files whose rows are from a gateway's traffic, by the part that they were given for."""

    @property
    def weak(self) -> bool:
        return len(self.test) < WEAK_BELOW

    def all(self) -> Examples:
        return (*self.train, *self.dev, *self.test)

    def fingerprints(self) -> dict[Split, str]:
        return {
            "train": fingerprint(self.train),
            "dev": fingerprint(self.dev),
            "test": fingerprint(self.test),
        }


def load_parts(request: BuildRequest, needed: Needed) -> Parts:
    """Train, dev and test; what is missing is cut from the training rows.

    A training file replaces all of the program's own examples, a dev or test file only that part of them.

    Raises:
        DataTooSmall: fewer than 10 rows to train or to test, or none to select with.
        DataInvalid: a file has bad lines; carries all of them, over all files.
    """
    data = request.data
    paths: dict[Split, Path | None] = {"train": data.train, "dev": data.dev, "test": data.test}
    found: dict[Split, Sequence[dspy.Example]] = {}
    traffic: dict[Split, Provenance] = {}
    for split, path in paths.items():
        if path is not None:
            found[split] = load_examples(path, *needed)
            if (origin := provenance_of(path)) is not None:
                traffic[split] = origin
        else:
            found[split] = request.program.examples(split) if data.train is None else ()
        found[split] = examples_with_verses(found[split], request.program.chat, request.tables)
    parts, notes = cut_missing(found, request.seed)
    parts, left_out = without_overlap(parts)
    _check_size(parts)
    refused = refused_labels(request.program.checks, parts)
    told = (*map(str, traffic.values()), *notes, *left_out, *refused)
    return Parts(parts["train"], parts["dev"], parts["test"], told, traffic)


def cut_missing(
    found: Mapping[Split, Sequence[dspy.Example]], seed: int
) -> tuple[dict[Split, Examples], list[str]]:
    """Fills empty parts from the training rows, 60 to 20 to 20; rows that ask the same stay together."""
    wanted: list[Split] = ["train", *(split for split in SPLITS if split != "train" and not found[split])]
    parts: dict[Split, Examples] = {split: tuple(found[split]) for split in SPLITS}
    rows = parts["train"]
    if len(wanted) == 1 or not rows:
        return parts, []
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(rows):
        groups.setdefault(content_key(example), []).append(index)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    total = sum(SHARES[split] for split in wanted)
    chosen: dict[Split, list[int]] = {split: [] for split in wanted}
    for key in order:
        # The part that is furthest below its share takes the next group.
        poorest = min(wanted, key=lambda split: len(chosen[split]) / SHARES[split])
        chosen[poorest] += groups[key]
    for split in wanted:
        parts[split] = tuple(rows[index] for index in sorted(chosen[split]))
    shares = ", ".join(
        f"{len(parts[split])} {split} ({round(100 * SHARES[split] / total)} %)" for split in wanted
    )
    return parts, [f"Cut {len(rows)} rows into {shares}, by content, seed {seed}."]


def without_overlap(parts: Mapping[Split, Examples]) -> tuple[dict[Split, Examples], list[str]]:
    """Leaves out of train what dev or test asks too, and out of dev what test asks."""
    kept = dict(parts)
    notes = []
    taken = {content_key(example) for example in kept["test"]}
    for split in ("dev", "train"):
        keys = [content_key(example) for example in kept[split]]
        fresh = tuple(example for example, key in zip(kept[split], keys, strict=True) if key not in taken)
        if len(fresh) < len(keys):
            dropped = len(keys) - len(fresh)
            notes.append(f"Left {dropped} {split} rows out: their inputs are held-out inputs too.")
        kept[split] = fresh
        taken.update(keys)
    return kept, notes


def refused_labels(checks: Sequence[Check], parts: Mapping[Split, Examples]) -> list[str]:
    """Says where right answers break the program's own checks: no answer can be right there."""
    notes = []
    for split, examples in parts.items():
        reasons = [reason for e in examples if (reason := broken_by_label(checks, dict(e.items())))]
        if reasons:
            notes.append(
                f"The program's checks refuse the labels of {len(reasons)} of {len(examples)} {split} rows, "
                f"the first because {reasons[0]}."
            )
    return notes


def _check_size(parts: Mapping[Split, Examples]) -> None:
    leasts: dict[Split, int] = {"train": LEAST_ROWS, "dev": 1, "test": LEAST_ROWS}
    for split, least in leasts.items():
        have = len(parts[split])
        if have < least:
            option = "data" if split == "train" else split
            raise DataTooSmall(
                f"{have} {split} rows are too few: a build needs at least {LEAST_ROWS} rows to train, 1 to "
                f"select (dev) and {LEAST_ROWS} to test; add rows, or give more with --{option}"
            )
