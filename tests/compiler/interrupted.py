"""A `compiler build` in a process of its own, for tests that end it at any moment and let it go on."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from programs.aliases import read_aliases
from programs.release import read_release, verify_evidence
from tests.compiler.scripted import Adder
from tests.compiler.served import Server

CONCURRENCY = 4
SUMS = """
import dspy
from smallforge import Chat, Program, Sampling, exact_match


def make_module():
    return dspy.ChainOfThought("question -> answer")


def examples(split):
    start = {"train": 0, "dev": 1000, "test": 2000}[split]
    rows = [(n, n // 2) for n in range(start, start + 24)]
    return [
        dspy.Example(question=f"What is {a} + {b}?", answer=str(a + b)).with_inputs("question")
        for a, b in rows
    ]


program = Program(
    "sums", make_module, examples, exact_match("answer"),
    Chat(user="question", answer="answer", reasoning=("reasoning",)), Sampling(max_tokens=64),
)
"""


@dataclass(frozen=True)
class Building:
    """One build in a folder of its own, by a model that counts what it is asked."""

    folder: Path
    url: str

    def start(self) -> subprocess.Popen[bytes]:
        """The build from its beginning, or from where it was ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sums.py").write_text(SUMS)
        command = [sys.executable, "-m", "compiler", "build", "./sums.py", "--student", self.url]
        command += ["--mlflow-uri", "off"]
        command += ["--concurrency", str(CONCURRENCY), "--set", "num_candidate_programs=4"]
        if self.build_id is not None:
            command += ["--resume", self.build_id]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def build_id(self) -> str | None:
        """Of the build that was begun here, if there is one."""
        begun = list((self.folder / ".smallforge" / "builds").glob("*/build.json"))
        return begun[0].parent.name if begun else None

    @property
    def answered(self) -> int:
        """Calls that are recorded so far."""
        if self.build_id is None:
            return 0
        path = self.folder / ".smallforge" / "builds" / self.build_id / "calls.sqlite"
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as rows:
                return int(rows.execute("SELECT COUNT(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # not there yet
            return 0

    @property
    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / "log").read_text()[-3000:]

    def run(self) -> str:
        """Ends it in peace; returns the version that it released."""
        process = self.start()
        code = process.wait(180)
        assert code == 0, f"ended with {code}:\n{self.log}"
        return self.champion()

    def kill_in_the_middle(self, adder: Adder, rng: random.Random, whole: int) -> bool:
        """With SIGKILL, after any number of the calls that all of it takes, or a moment after the last.

        False when it had ended by itself before.
        """
        point, already = rng.randint(0, whole * 5 // 4), self.answered
        asked, process = adder.calls, self.start()
        while process.poll() is None and adder.calls - asked + already < min(point, whole * 3 // 4):
            time.sleep(0.002)
        until = time.monotonic() + rng.random() * (0.5 if point > whole * 3 // 4 else 0.02)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.kill()
        return process.wait() == -signal.SIGKILL

    def champion(self) -> str:
        version = read_aliases(self.folder / "releases" / "sums").champion
        assert version is not None
        return version

    def check_releases(self) -> None:
        """What there is, is whole; aliases name only what is there."""
        home = self.folder / "releases" / "sums"
        for release in home.glob("[0-9a-f]*/"):
            read_release(release)
            assert verify_evidence(release)
        aliases = read_aliases(home)
        for version in (aliases.champion, aliases.candidate):
            assert version is None or (home / version / "release.json").is_file()


def repeated(adder: Adder) -> int:
    """Calls that the model was asked more than once."""
    asked = Counter(orjson.dumps(messages) for messages in adder.asked)
    return sum(count - 1 for count in asked.values())


def undisturbed(folder: Path, server: Server, adder: Adder) -> tuple[str, int]:
    """The version that an undisturbed build releases, and how many calls it takes."""
    before = adder.calls
    version = Building(folder, server.url).run()
    taken = adder.calls - before
    adder.asked.clear()
    return version, taken


class Survived(NamedTuple):
    version: str
    kills: int


def kill_and_resume(building: Building, adder: Adder, rng: random.Random, whole: int, most: int) -> Survived:
    """What a build comes to that is killed up to so often, then left in peace."""
    kills = 0
    adder.asked.clear()
    while kills < most and building.kill_in_the_middle(adder, rng, whole):
        kills += 1
        building.check_releases()
    version = building.run()
    building.check_releases()
    # What was on its way when the process died is asked again; what was answered before is not.
    assert repeated(adder) <= kills * CONCURRENCY
    return Survived(version, kills)
