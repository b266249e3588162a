from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from compiler.build import build
from compiler.events import Finished
from compiler.releases import (
    describe_release,
    evidence_of,
    find_release,
    list_releases,
    promote,
    rollback,
    verify_release,
)
from compiler.request import Cast
from programs.aliases import read_aliases
from programs.errors import ReleaseInvalid, ReleaseNotFound
from tests.compiler.scripted import Adder, Bound, SumsExamples, TwoSteps, program, request


async def release(folder: Path, optimizer: str, **fields: object) -> str:
    """Builds one release of `sums`; returns its version."""
    asked = request(folder, program(**fields), optimizer=optimizer)  # type: ignore[arg-type]
    events = [event async for event in build(asked, Cast(Bound(Adder())))]
    assert isinstance(events[-1], Finished)
    return events[-1].result.version


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with two releases of one program: the plain champion and an optimised candidate."""
    folder = tmp_path_factory.mktemp("built")
    plain = asyncio.run(release(folder, "none"))
    optimised = asyncio.run(release(folder, "BootstrapFewShotWithRandomSearch"))
    return folder / "releases", plain, optimised


@pytest.fixture
def shelf(built: tuple[Path, str, str], tmp_path: Path) -> tuple[Path, str, str]:
    root, plain, optimised = built
    shutil.copytree(root, tmp_path / "releases")
    return tmp_path / "releases", plain, optimised


def test_a_listing_shows_aliases_and_scores(shelf: tuple[Path, str, str]) -> None:
    root, plain, optimised = shelf
    listed = {release.name: release for release in list_releases(root)}
    assert listed[f"sums@{plain}"].aliases == ("champion",)
    assert listed[f"sums@{optimised}"].aliases == ("candidate",)
    scores = listed[f"sums@{optimised}"].scores
    assert scores is not None and (scores.before, scores.after, scores.n, scores.proven) == (
        0.5,
        1.0,
        40,
        True,
    )


def test_a_damaged_release_is_listed_with_its_problem(shelf: tuple[Path, str, str]) -> None:
    root, plain, _ = shelf
    (root / "sums" / plain / "plan.json").write_text("{}")
    damaged = next(release for release in list_releases(root) if release.kind == "damaged")
    assert damaged.name == f"sums@{plain}" and "plan.json has digest" in str(damaged.problem)


@pytest.mark.parametrize("name", ["sums", "sums@champion"])
def test_a_program_alone_means_its_champion(shelf: tuple[Path, str, str], name: str) -> None:
    root, plain, optimised = shelf
    assert find_release(root, name).name == plain
    assert find_release(root, "sums@candidate").name == optimised
    assert find_release(root, f"sums@{optimised}").name == optimised


def test_what_is_not_there_is_told_what_is(shelf: tuple[Path, str, str]) -> None:
    root, plain, _ = shelf
    with pytest.raises(ReleaseNotFound, match=r"no releases of 'sum' in .*; there are releases of: sums"):
        find_release(root, "sum")
    with pytest.raises(ReleaseNotFound, match=f"no release '../x'; its versions are .*{plain}"):
        find_release(root, "sums@../x")
    with pytest.raises(ReleaseNotFound, match="there are releases of: none"):
        find_release(root / "empty", "sums")


def test_a_release_describes_its_identity_and_its_evidence(shelf: tuple[Path, str, str]) -> None:
    root, _, optimised = shelf
    lines = dict(describe_release(root, "sums@candidate"))
    assert lines["release"] == f"sums@{optimised}" and lines["aliases"] == "candidate"
    assert lines["kind"].startswith("plan: served without DSPy") and "4 demonstrated replies" in lines["kind"]
    assert lines["inputs"] == "question (str)" and lines["outputs"] == "reasoning (str), answer (str)"
    assert lines["chat"] == "user text -> question, content <- answer, reasoning <- reasoning"
    assert lines["sampling"] == "temperature 0.0, max_tokens 64"
    assert lines["evidence"].startswith("50.0 % -> 100.0 % on 40 held-out examples (95 % interval")
    assert "weak evidence); BootstrapFewShotWithRandomSearch, build" in lines["evidence"]


async def test_an_interpreted_release_is_described_too(tmp_path: Path) -> None:
    await release(tmp_path, "none", make_module=TwoSteps, examples=SumsExamples(10, 1, 10))
    lines = dict(describe_release(tmp_path / "releases", "sums"))
    assert lines["kind"] == "interpreted: served by DSPy, needs its program installed"
    assert lines["chat"] == "user text -> question, content <- answer"


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (
            "KNNFewShot",
            r"neighbours: served without DSPy, each request is shown the 3 nearest of 5 demon.*hashed",
        ),
        (
            "Ensemble",
            r"ensemble: served without DSPy, majority of 3 answers, constant prompts of \d+ \+ \d+ \+",
        ),
    ],
)
async def test_other_kinds_are_listed_described_and_verified(
    tmp_path: Path, optimizer: str, kind: str
) -> None:
    version = await release(tmp_path, optimizer, examples=SumsExamples(10, 5, 10))
    root = tmp_path / "releases"
    lines = dict(describe_release(root, "sums"))
    assert re.match(kind, lines["kind"]) and lines["inputs"] == "question (str)"
    assert lines["chat"].startswith("user text -> question") and lines["sampling"].endswith("max_tokens 64")
    word = kind.partition(":")[0]
    assert list_releases(root)[0].kind == word
    assert (
        verify_release(root, "sums") == f"sums@{version}: identity, {word} and evidence of 1 build are intact"
    )


def test_intact_releases_verify(shelf: tuple[Path, str, str]) -> None:
    root, plain, _ = shelf
    assert verify_release(root, "sums") == f"sums@{plain}: identity, plan and evidence of 1 build are intact"


def test_changed_evidence_is_found(shelf: tuple[Path, str, str]) -> None:
    root, _, optimised = shelf
    scorecard = next((root / "sums" / optimised).glob("evidence/*/scorecard.jsonl"))
    scorecard.write_text(scorecard.read_text().replace('"score":0.0', '"score":1.0'))
    with pytest.raises(ReleaseInvalid, match=r"evidence .*/scorecard\.jsonl changed"):
        verify_release(root, "sums@candidate")


def test_evidence_that_cannot_be_read_is_one_sentence(shelf: tuple[Path, str, str]) -> None:
    root, plain, _ = shelf
    folder = next((root / "sums" / plain / "evidence").iterdir())
    shutil.copytree(folder, folder.with_name("zz"))
    (folder.with_name("zz") / "build.json").write_text("{}")
    (folder.with_name("zz") / "digests.json").write_text("{}")
    with pytest.raises(ReleaseInvalid, match=r"the evidence '.*zz/build\.json' can't be read"):
        evidence_of(root / "sums" / plain)


def test_promotion_and_rollback_move_the_champion(shelf: tuple[Path, str, str]) -> None:
    root, plain, optimised = shelf
    said = promote(root, "sums@candidate", "it is better")
    assert said == f"sums@{optimised} is the champion now; before it was {plain}"
    assert promote(root, f"sums@{optimised}", "again") == f"sums@{optimised} is the champion already"
    assert rollback(root, "sums") == f"sums@{plain} is the champion again; {optimised} is not"
    moves = [
        (move.version, move.reason) for move in read_aliases(root / "sums").moves if move.alias == "champion"
    ]
    assert moves[1:] == [(optimised, "it is better"), (plain, f"rollback from {optimised}")]


def test_a_damaged_release_is_not_promoted(shelf: tuple[Path, str, str]) -> None:
    root, plain, optimised = shelf
    (root / "sums" / optimised / "plan.json").write_text("{}")
    with pytest.raises(ReleaseInvalid):
        promote(root, "sums@candidate", "-")
    assert read_aliases(root / "sums").champion == plain


def test_promotion_wants_a_version(shelf: tuple[Path, str, str]) -> None:
    with pytest.raises(ReleaseNotFound, match="say which release of 'sums' to promote: sums@candidate or"):
        promote(shelf[0], "sums", "-")


def test_without_an_earlier_champion_there_is_nothing_to_roll_back_to(shelf: tuple[Path, str, str]) -> None:
    with pytest.raises(ReleaseNotFound, match="no earlier champion"):
        rollback(shelf[0], "sums")
