"""The way from a log back into a build, by the commands that a user types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from programs.data import read_rows
from programs.release import digest
from tests.compiler.served import Server
from tests.compiler.test_command import build, champion, here, run, server
from tests.compiler.traffic.logs import RELEASE, Asked, write_log

__all__ = ["here", "server"]  # fixtures of the command


def sums(count: int, first: int = 0) -> list[Asked]:
    """Questions, every second one answered wrongly and corrected, the others approved."""
    return [
        Asked(f"What is {n} + {n}?", str(2 * n), {"score": 1})
        if n % 2
        else Asked(f"What is {n} + {n}?", "7", {"correction": {"answer": str(2 * n)}})
        for n in range(first, first + count)
    ]


def evidence() -> dict[str, Any]:
    (file,) = Path("releases/sums", str(champion()), "evidence").glob("*/build.json")
    return dict(json.loads(file.read_text()))


def test_rows_out_of_a_log_say_where_they_are_from(here: Path) -> None:
    log = write_log(here / "gateway.db", [*sums(4), Asked("a@b.org?", "1"), Asked("x", "1", {"score": 0.2})])
    done = run("data", "from-traffic", "--program", "./sums.py", "--out", "rows.jsonl", "--database", log)
    assert done.exit_code == 0, done.output
    assert "4 rows (2 approved, 2 corrected; left out: 1 rejected or cut) of 'sums'" in done.stdout
    assert "Now: compiler build ./sums.py --data rows.jsonl" in done.stdout
    rows = [row.values for row in read_rows(Path("rows.jsonl"))]
    assert [(row["question"], row["answer"]) for row in rows] == [
        (f"What is {n} + {n}?", str(2 * n)) for n in range(4)
    ]
    assert rows[0]["smallforge"].keys() == {"release", "response_id", "at", "feedback"}
    assert rows[0]["smallforge"]["release"] == RELEASE


def test_the_options_choose_among_them(here: Path) -> None:
    old = Asked("old", "1", {"score": 1}, days_old=3)
    log = write_log(here / "gateway.db", [old, *sums(6), Asked("unrated", "1")])
    chosen = ["data", "from-traffic", "--database", log, "--out", "rows.jsonl"]

    def questions(*options: str) -> list[str]:
        assert run(*chosen, *options).exit_code == 0
        return [row.values["question"] for row in read_rows(Path("rows.jsonl"))]

    assert questions("--only", "scored", "--limit", "1") == ["What is 5 + 5?"]
    assert questions("--only", "scored", "--limit", "9")[0] == "old"
    assert "old" not in questions("--since", "2d", "--only", "all")
    assert "unrated" in questions("--only", "all")


def test_a_log_that_cant_be_used_is_one_sentence(here: Path) -> None:
    out = ("--out", "rows.jsonl", "--database")
    missing = run("data", "from-traffic", *out, "nowhere.db")
    assert missing.exit_code == 2 and "there is no database 'nowhere.db'" in missing.stderr
    Path("empty.db").touch()
    empty = run("data", "from-traffic", *out, "empty.db")
    assert empty.exit_code == 2 and "log in 'empty.db' can't be read: no such table" in empty.stderr
    log = write_log(here / "gateway.db", sums(2))
    write_log(here / "gateway.db", sums(2), program="others")
    two = run("data", "from-traffic", *out, log)
    assert two.exit_code == 2 and "--program must name one of the programs" in two.stderr
    assert "others, sums" in two.stderr
    never = run("data", "from-traffic", *out, log, "--since", "yesterday")
    assert never.exit_code == 2 and "'yesterday' is no time" in never.stderr


def test_a_build_from_traffic_says_so_in_its_evidence_and_shows_it_to_no_model(
    here: Path, server: Server
) -> None:
    misfit = Asked("x", "1", {"score": 1}, changes={"inputs": {"question": 4}})
    log = write_log(here / "gateway.db", [*sums(60), misfit])
    done = build(server, "--data", f"traffic:{log}", "--optimizer", "LabeledFewShot")
    assert done.exit_code == 0, done.output
    left_out = "left out: 1 no longer of the program's types"
    assert f"60 rows (30 approved, 30 corrected; {left_out}) of 'sums' in" in done.stderr
    told = evidence()
    (file,) = Path(".smallforge/traffic").iterdir()
    assert file.stem == told["build"] and told["settings"]["files"]["train"] == str(file)
    origin = told["traffic"]["train"]
    assert origin["rows"] == sum(told["split"]["sizes"].values()) == 60
    assert origin["feedback"] == {"corrected": 30, "approved": 30} and origin["releases"] == {RELEASE: 60}
    assert origin["first"] <= origin["last"] and len(origin["digest"]) == len(digest(b""))
    assert any("60 rows are from a gateway's traffic" in note for note in told["split"]["notes"])
    plan = Path("releases/sums", str(champion()), "plan.json").read_text()
    assert "What is" in plan and "chatcmpl" not in plan


def test_a_resumed_build_sees_the_rows_that_it_began_with(here: Path, server: Server) -> None:
    log = write_log(here / "gateway.db", sums(60))
    options = ("--data", f"traffic:{log}", "--optimizer", "none", "--build-id", "mine")
    assert build(server, *options, "--estimate").exit_code == 0
    write_log(here / "gateway.db", sums(20, first=100))
    done = build(server, *options)
    assert done.exit_code == 0, done.output
    assert evidence()["traffic"]["train"]["rows"] == 60


def test_a_log_without_anything_to_learn_from_ends_the_build_at_once(here: Path, server: Server) -> None:
    log = write_log(here / "gateway.db", [Asked("unrated", "1")])
    done = build(server, "--data", f"traffic:{log}")
    assert done.exit_code == 2 and "no corrected or approved answers of 'sums'" in done.stderr
    assert server.calls == 0
