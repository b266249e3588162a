"""Evaluating, comparing, talking to and promoting releases of a small program on a real engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.conftest import BIN, House

SMALL = """
from dataclasses import replace

from programs.tasks import arithmetic

program = replace(arithmetic.program, name="small", examples=lambda split: arithmetic.examples(split)[:40])
"""
PROGRAM = ("--program", "./small.py")


@pytest.fixture(scope="module")
def small(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A folder with two releases of `small`: the plain champion, and one with demonstrations."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "smallforge.toml").write_text((house.folder / "smallforge.toml").read_text())
    (folder / "small.py").write_text(SMALL)
    made = replace(house, folder=folder)
    for arguments in (
        ["--optimizer", "none"],
        ["--optimizer", "BootstrapFewShot", "--set", "max_labeled_demos=4"],
    ):
        shown = made.run("compiler", "build", "./small.py", "--mlflow-uri", "off", *arguments)
        assert "manual few-shot" in shown and "McNemar's exact test" in shown
    yield made


def evidence(house: House, alias: str, kind: str) -> list[Path]:
    home = house.folder / "releases" / "small" / house.alias("small", alias)
    return sorted(home.glob(f"evidence/{kind}-*/evaluation.json"))


def test_a_release_is_evaluated_on_rows_of_ones_own(small: House) -> None:
    row = {
        "question": "Dora has 8 plates. She buys 5 more. How many plates does Dora have now?",
        "answer": 13,
    }
    (small.folder / "own.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    shown = small.run("compiler", "evaluate", "small@candidate", "--data", "own.jsonl", *PROGRAM)
    assert "3 rows, own.jsonl" in shown and "Seconds: an answer's calls" in shown
    (path,) = evidence(small, "candidate", "evaluate")
    told = json.loads(path.read_text())
    assert told["own_student"] and told["scores"]["n"] == 3 and told["scores"]["usd_per_answer"] > 0
    small.run("compiler", "verify", "small")


def test_two_releases_are_compared_on_the_programs_test_rows(small: House) -> None:
    said = small.run("compiler", "compare", "small", "small@candidate", *PROGRAM)
    assert "B against A: Gain" in said and "looked at" in said and "40 rows, the program's test rows" in said
    assert len(evidence(small, "champion", "compare")) == len(evidence(small, "candidate", "compare")) == 1


def test_a_conversation_goes_through_a_pipe(small: House) -> None:
    typed = "Dora has 8 plates. She buys 5 more. How many plates does Dora have now?\n/quit\n"
    done = subprocess.run(
        [str(BIN / "compiler"), "chat", "small@candidate"],
        cwd=small.folder,
        input=typed,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "13\n" and "tokens, " in done.stderr and "USD]" in done.stderr


def test_a_worse_release_is_promoted_only_by_force(small: House) -> None:
    plain, learnt = small.alias("small", "champion"), small.alias("small", "candidate")
    assert plain != learnt
    small.run("compiler", "promote", f"small@{learnt}", "--force", "--reason", "to have it as the champion")
    refused = small.run("compiler", "promote", f"small@{plain}", code=3)
    assert "is not promoted: not better than the champion" in refused and "one-sided p" in refused
    assert small.alias("small", "champion") == learnt
    small.run("compiler", "promote", f"small@{plain}", "--force", "--reason", "the old one was quicker")
    aliases = json.loads((small.folder / "releases" / "small" / "aliases.json").read_text())
    assert (
        aliases["champion"] == plain and aliases["moves"][-1]["reason"] == "forced: the old one was quicker"
    )
