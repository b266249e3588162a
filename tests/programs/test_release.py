from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from programs.embedding import HashedNgrams
from programs.ensemble import Ensemble, ensemble_as_dict
from programs.errors import ReleaseInvalid, ReleaseNotFound, ReleaseNotWritten
from programs.neighbours import Demonstration, Neighbours, Said, Weight, neighbours_as_dict
from programs.plan import Field, Message, Plan, plan_as_dict
from programs.program import Chat, Sampling
from programs.release import (
    FILES,
    Identity,
    Kind,
    Release,
    add_evidence,
    canonical_json,
    digest,
    read_release,
    verify_evidence,
    write_release,
)

PLAN = Plan(
    program="sum",
    prefix=(Message("system", "Add."),),
    inputs=(Field("question"),),
    outputs=(Field("answer", "int"),),
    reminder="Answer.",
    chat=Chat(user="question", answer="answer"),
    sampling=Sampling(),
)
BODY = canonical_json(plan_as_dict(PLAN))
IDENTITY = Identity("sum", "plan", digest(BODY), "default", {"prompt_tokens": [1, 2]})


def written(root: Path, build: str = "b1") -> Path:
    return write_release(root, IDENTITY, BODY, build, {"build.json": b'{"n": 1}'})


def test_a_release_reads_back_as_it_was_written(tmp_path: Path) -> None:
    release = read_release(written(tmp_path))
    assert (release.plan, release.identity, release.state) == (PLAN, IDENTITY, None)
    assert release.name == f"sum@{release.path.name}"


SHOWN = Demonstration((Said("user", "1 + 1?"), Said("assistant", "2")), (Weight(7, 1.0),))
NEIGHBOURS = Neighbours(PLAN, (SHOWN,), HashedNgrams.learn(["1 + 1?", "2 + 2?"]), k=1)
ENSEMBLE = Ensemble((PLAN, replace(PLAN, prefix=())), "mean")


def put(root: Path, kind: Kind, content: dict[str, Any]) -> Path:
    body = canonical_json(content)
    return write_release(root, Identity("sum", kind, digest(body), "default", {}), body, "b1", {})


def test_neighbours_and_ensembles_read_back_as_they_were_written(tmp_path: Path) -> None:
    near = read_release(put(tmp_path, "neighbours", neighbours_as_dict(NEIGHBOURS)))
    many = read_release(put(tmp_path, "ensemble", ensemble_as_dict(ENSEMBLE)))
    assert near == Release(near.path, near.identity, neighbours=NEIGHBOURS)
    assert many == Release(many.path, many.identity, ensemble=ENSEMBLE)
    assert (near.path / "neighbours.json").exists() and (many.path / "ensemble.json").exists()


@pytest.mark.parametrize("kind", ["neighbours", "ensemble"])
def test_a_changed_or_forged_body_of_any_kind_is_refused(tmp_path: Path, kind: Kind) -> None:
    content = neighbours_as_dict(NEIGHBOURS) if kind == "neighbours" else ensemble_as_dict(ENSEMBLE)
    home = put(tmp_path, kind, content)
    (home / FILES[kind]).write_bytes(canonical_json(content | {"k": 2}))
    with pytest.raises(ReleaseInvalid, match=rf"{kind}\.json has digest"):
        read_release(home)
    with pytest.raises(ReleaseInvalid, match=rf"{kind}\.json"):
        read_release(put(tmp_path, kind, content | {"code": "import os"}))
    with pytest.raises(ReleaseInvalid, match=r"needs|must hold"):
        read_release(put(tmp_path, kind, plan_as_dict(PLAN)))


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    long = replace(NEIGHBOURS, plan=replace(PLAN, prefix=(Message("system", "x" * (32 << 20)),)))
    with pytest.raises(ReleaseNotWritten, match=r"neighbours\.json would have .* keep fewer or shorter"):
        put(tmp_path, "neighbours", neighbours_as_dict(long))
    assert list(tmp_path.iterdir()) == []


def test_the_same_identity_is_the_same_version_and_gains_evidence(tmp_path: Path) -> None:
    assert written(tmp_path, "b1") == written(tmp_path, "b2")
    assert verify_evidence(written(tmp_path, "b3")) == ["b1", "b2", "b3"]


def test_another_student_is_another_version() -> None:
    assert replace(IDENTITY, fingerprint={"prompt_tokens": [1, 3]}).version != IDENTITY.version


def test_nothing_but_whole_folders_is_ever_visible(tmp_path: Path) -> None:
    home = written(tmp_path)
    assert sorted(p.name for p in home.iterdir()) == ["evidence", "plan.json", "release.json"]
    assert [p.name for p in home.parent.iterdir()] == [home.name]


def test_a_changed_plan_is_refused_with_both_digests(tmp_path: Path) -> None:
    home = written(tmp_path)
    (home / "plan.json").write_bytes(BODY.replace(b"Add.", b"Sub."))
    with pytest.raises(
        ReleaseInvalid, match=rf"{digest(BODY.replace(b'Add.', b'Sub.'))}, not {IDENTITY.body}"
    ):
        read_release(home)


def test_a_changed_identity_is_refused(tmp_path: Path) -> None:
    home = written(tmp_path)
    identity = json.loads((home / "release.json").read_text()) | {"student": "other"}
    (home / "release.json").write_text(json.dumps(identity))
    with pytest.raises(ReleaseInvalid, match="its directory says"):
        read_release(home)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"program": "sum", "forward": 1}', "release.json"),
        ("[]", "must hold an object"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{" * 5 + "x", "not JSON"),
        ("[" * 200_000, "inside one another"),
    ],
)
def test_a_hostile_identity_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    home = written(tmp_path)
    (home / "release.json").write_text(text)
    with pytest.raises(ReleaseInvalid, match=reason):
        read_release(home)


def test_links_are_refused(tmp_path: Path) -> None:
    home = written(tmp_path)
    (home / "plan.json").rename(tmp_path / "elsewhere.json")
    os.symlink(tmp_path / "elsewhere.json", home / "plan.json")
    with pytest.raises(ReleaseInvalid, match="no plain file"):
        read_release(home)


def test_changed_evidence_is_found(tmp_path: Path) -> None:
    home = written(tmp_path)
    (home / "evidence" / "b1" / "build.json").write_bytes(b'{"n": 2}')
    with pytest.raises(ReleaseInvalid, match=r"b1/build\.json changed"):
        verify_evidence(home)


def test_no_release_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match="no release at"):
        read_release(tmp_path / "sum" / "000000000000")


def test_a_disk_that_refuses_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "sum").write_text("a file where the folder should be")
    with pytest.raises(ReleaseNotWritten, match="can't write the release"):
        written(tmp_path)


def test_a_release_gains_evidence_of_another_kind_and_keeps_its_version(tmp_path: Path) -> None:
    home = written(tmp_path)
    add_evidence(home, "evaluate-1", {"evaluation.json": b"{}"})
    assert verify_evidence(home)[-1] == "evaluate-1" and read_release(home).identity.version == home.name
    with pytest.raises(ReleaseNotWritten, match="can't write evidence of "):
        add_evidence(home, "evaluate-1", {"evaluation.json": b"{}"})
