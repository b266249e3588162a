"""Why the compiled program fails where it does, and what the compilation fixed and broke.

An answer without a fault counts as wrong below a score of 0.5. Fixed and broken are the examples that score
higher, and lower, than the unoptimised program's answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dspy

from compiler.evaluation.answers import Answer, Fault
from compiler.events import Analysis, Changed, Failure, FailureGroup
from programs.json_values import write_json

GOOD_ENOUGH = 0.5
MOST_EXAMPLES = 5  # of a group
MOST_IDS = 10
_LONGEST_INPUT, _LONGEST_OUTPUT = 300, 200  # characters shown

KINDS: dict[Fault | None, str] = {
    "unparseable": "unparseable",
    "check": "check failed",
    "cut": "truncated",
    "too_long": "prompt too long",
    "refused": "refused by the engine",
    "program": "program failed",
    "metric": "metric failed",
    None: "wrong",
}
"""What a group is called, by the fault of its answers."""


def analyse(examples: Sequence[dspy.Example], before: Sequence[Answer], after: Sequence[Answer]) -> Analysis:
    """All of them in the order of the examples; the largest group comes first."""
    outputs = {name for answer in (*before, *after) for name in answer.outputs}
    failing: dict[str, list[int]] = {}
    for index, answer in enumerate(after):
        if answer.fault is not None or answer.score < GOOD_ENOUGH:
            failing.setdefault(KINDS[answer.fault], []).append(index)
    groups = [
        FailureGroup(
            kind, len(found), tuple(_failure(i, examples[i], after[i], outputs) for i in _worst(found, after))
        )
        for kind, found in sorted(failing.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    changes = [b.score - a.score for a, b in zip(before, after, strict=True)]
    fixed = [index for index, change in enumerate(changes) if change > 0]
    broke = [index for index, change in enumerate(changes) if change < 0]
    return Analysis(tuple(groups), _changed(fixed), _changed(broke))


def _worst(indices: Sequence[int], answers: Sequence[Answer]) -> list[int]:
    return sorted(indices, key=lambda index: (answers[index].score, index))[:MOST_EXAMPLES]


def _changed(ids: Sequence[int]) -> Changed:
    return Changed(len(ids), tuple(ids[:MOST_IDS]))


def _failure(index: int, example: dspy.Example, answer: Answer, outputs: Collection[str]) -> Failure:
    said = answer.steps[-1].text if answer.steps and not answer.outputs else ""
    labels = dict(example.labels().items())
    # Rows may hold more than anyone predicts: an id, where they come from.
    expected = {name: value for name, value in labels.items() if name in outputs} or labels
    got = {name: answer.outputs[name] for name in _compared(example, answer)} or said
    return Failure(
        id=index,
        inputs=shortened(dict(example.inputs().items()), _LONGEST_INPUT),
        expected=shortened(expected, _LONGEST_OUTPUT),
        got=shortened(got, _LONGEST_OUTPUT),
        feedback=shortened(answer.feedback or answer.error or "", _LONGEST_OUTPUT),
    )


def _compared(example: dspy.Example, answer: Answer) -> list[str]:
    """The outputs that the example has labels for; all of them where it has labels for none."""
    labelled = [name for name in answer.outputs if name in example.labels()]
    return labelled or list(answer.outputs)


def shortened(value: object, longest: int) -> str:
    """A value as a person reads it: one line; of several fields each with its name."""
    if isinstance(value, Mapping):
        parts = [f"{name}: {_text(item)}" for name, item in value.items()]
        text = _text(next(iter(value.values()))) if len(value) == 1 else "; ".join(parts)
    else:
        text = _text(value)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dspy.History):
        value = value.messages
    return write_json(value, str).decode()
