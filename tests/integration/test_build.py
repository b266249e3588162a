"""`compiler build` on a real engine: what it shows, what it writes, and how it ends."""

from __future__ import annotations

import json

from tests.integration.conftest import House


def test_a_build_shows_the_program_before_and_after(built: str) -> None:
    assert "zero-shot" in built and "manual few-shot" in built
    assert "compiled" in built


def test_a_build_writes_a_release_that_is_a_plan_and_is_intact(built: str, house: House) -> None:
    assert built
    version = house.alias("arithmetic", "champion")
    assert (house.folder / "releases" / "arithmetic" / version / "plan.json").exists()
    house.run("compiler", "verify", "arithmetic")


def test_the_evidence_holds_every_held_out_example(built: str, house: House) -> None:
    assert built
    version = house.alias("arithmetic", "champion")
    (evidence,) = (house.folder / "releases" / "arithmetic" / version / "evidence").iterdir()
    build = json.loads((evidence / "build.json").read_text())
    rows = [json.loads(line) for line in (evidence / "scorecard.jsonl").read_text().splitlines()]
    assert {(row["program"], row["id"]) for row in rows} == {
        (program, number) for program in ("before", "manual few-shot", "after") for number in range(300)
    }
    assert build["asked"]["program"] == "arithmetic"


def test_a_damaged_release_is_noticed(built: str, house: House) -> None:
    assert built
    version = house.alias("arithmetic", "champion")
    plan = house.folder / "releases" / "arithmetic" / version / "plan.json"
    whole = plan.read_bytes()
    plan.chmod(0o644)
    plan.write_bytes(whole.replace(b"Solve", b"Steal"))
    try:
        assert "plan.json" in house.run("compiler", "verify", "arithmetic", code=2)
    finally:
        plan.write_bytes(whole)


def test_an_unknown_program_is_one_sentence_and_exit_code_2(house: House) -> None:
    shown = house.run("compiler", "build", "arithmetik", code=2)
    assert "'arithmetik'" in shown and "arithmetic" in shown
    assert "Traceback" not in shown


def test_an_engine_that_is_not_there_is_one_sentence(house: House) -> None:
    (house.folder / "elsewhere.toml").write_text('student = "http://127.0.0.1:9"\n')
    shown = house.run("compiler", "build", "arithmetic", "--config", "elsewhere.toml", code=2)
    assert "http://127.0.0.1:9" in shown
    assert "Traceback" not in shown
