"""Tests for deploy/audit.py: what a lock may not hold."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.audit import LOCKS, REFUSED, Pin, Unreadable, accepted, offences, pins, refused
from tests.deploy.image import ROOT

HASH = f"--hash=sha256:{'0' * 64}"


def lock(folder: Path, *lines: str) -> Path:
    file = folder / "some.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_our_own_locks_have_no_offence() -> None:
    locks = list(LOCKS.glob("*.txt"))
    assert len(locks) > 5
    assert offences(locks, refused()) == []


def test_every_line_is_read_with_its_hashes_and_markers(tmp_path: Path) -> None:
    file = lock(tmp_path, "# a lock", "Some_Lib==1.0 \\", f"    {HASH} \\", f"    {HASH}", "b==2 ; os == 'x'")
    assert list(pins(file)) == [Pin("some.txt", "some-lib", "1.0", 2), Pin("some.txt", "b", "2", 0)]


def test_a_download_without_a_hash_is_an_offence(tmp_path: Path) -> None:
    assert offences([lock(tmp_path, "a==1", f"b==2 {HASH}")], []) == ["some.txt: a 1 has no hash"]


@pytest.mark.parametrize("line", ["a>=1", "a", "a @ https://example.com/a.whl", "-e .", "a==1 --hash=md5:0"])
def test_what_is_not_one_version_of_one_package_is_no_lock(line: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not one version of one package"):
        offences([lock(tmp_path, line)], [])


@pytest.mark.parametrize("pinned", ["starlette==1.0.0", "Starlette==0.49", "litellm==1.82.8"])
def test_a_refused_version_is_named_with_the_reason(pinned: str, tmp_path: Path) -> None:
    found = offences([lock(tmp_path, f"{pinned} {HASH}")], refused())
    assert found and all(" is refused: it " in line for line in found)


def test_every_refusal_has_a_reason_that_ends_the_sentence() -> None:
    assert all(one.reason and not one.reason.endswith(".") for one in refused())


def test_what_is_accepted_is_still_in_a_lock() -> None:
    packages = {pin.package for lock in LOCKS.glob("*.txt") for pin in pins(lock)}
    rows = tomllib.loads(REFUSED.read_text())["accepted"]
    assert [row["advisory"] for row in rows] == accepted()
    assert all(row["package"] in packages and row["reason"] for row in rows)


def test_the_bill_of_materials_holds_the_lock_and_its_hashes(tmp_path: Path) -> None:
    locked = ROOT / "requirements" / "gateway.txt"
    bill = tmp_path / "bill.json"
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(locked)]
    subprocess.run([*command, "--of", "JSON", "-o", str(bill)], check=True)
    components = json.loads(bill.read_text())["components"]
    assert {(one["name"], one["version"]) for one in components} == {
        (pin.package, pin.version) for pin in pins(locked)
    }
    assert all(one["externalReferences"][0]["hashes"] for one in components)
