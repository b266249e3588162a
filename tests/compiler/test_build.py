from __future__ import annotations

from pathlib import Path

from compiler.build import build
from compiler.events import BuildResult, Event, Finished
from compiler.request import BuildRequest
from programs.aliases import read_aliases
from programs.release import read_release, verify_evidence
from tests.compiler.scripted import Adder, Bound, program, request


async def run(asked: BuildRequest, model: Adder) -> tuple[BuildResult, list[Event]]:
    events = [event async for event in build(asked, Bound(model))]
    assert isinstance(events[-1], Finished)
    return events[-1].result, events


async def test_labelled_examples_become_a_measured_release(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(), optimizer="LabeledFewShot"), Adder())
    release = read_release(result.path)
    assert release.plan is not None and release.identity.version == result.version
    assert verify_evidence(result.path) == [result.build_id]
    assert read_aliases(result.path.parent).champion == result.version


async def test_random_search_finds_worked_examples_and_proves_the_gain(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program()), Adder())
    assert result.baseline.mean == 0.5 and result.compiled.mean == 1.0
    assert result.proven and result.difference.p < 0.01
