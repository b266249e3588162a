"""A build that writes its events down, as a process that another one follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from compiler.errors import DataTooSmall
from compiler.event_file import open_event_file
from compiler.events import Log
from tests.compiler.interrupted import SUMS
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Adder()) as served:
        yield served


def build(folder: Path, server: Server, *options: str) -> Result:
    (folder / "sums.py").write_text(SUMS)
    (folder / "smallforge.toml").write_text(
        f'releases = "{folder}/releases"\nstate = "{folder}/state"\nstudent = "{server.url}"\n'
    )
    given = ["--optimizer", "LabeledFewShot", "--mlflow-uri", "off", "--config", f"{folder}/smallforge.toml"]
    return CliRunner().invoke(main, ["build", str(folder / "sums.py"), *given, *options])


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_every_event_is_a_line_between_the_begin_and_the_end(tmp_path: Path, server: Server) -> None:
    events = tmp_path / "events.jsonl"
    assert build(tmp_path, server, "--build-id", "one", "--events", str(events)).exit_code == 0
    names = [line["event"] for line in lines(events)]
    assert (names[0], names[1], names[-2], names[-1]) == ("RunBegan", "Began", "Finished", "RunEnded")
    assert lines(events)[1]["said"]["build_id"] == "one"
    assert lines(events)[-1]["said"] == {"code": 0, "sentences": []}


def test_an_estimate_ends_before_the_search_and_its_answers_are_not_asked_for_again(
    tmp_path: Path, server: Server
) -> None:
    told = build(tmp_path, server, "--build-id", "one", "--estimate")
    assert told.exit_code == 0 and "Nothing was built yet." in told.stderr
    assert "calls" in told.stderr and not (tmp_path / "releases").exists()
    whole = build(tmp_path, server, "--build-id", "one")
    assert whole.exit_code == 0 and "Build one goes on" in whole.stderr
    with_an_estimate = server.calls
    (tmp_path / "other").mkdir()
    assert build(tmp_path / "other", server).exit_code == 0
    assert server.calls == 2 * with_an_estimate


def test_what_a_build_is_refused_for_is_its_end(tmp_path: Path, server: Server) -> None:
    rows, events = tmp_path / "rows.jsonl", tmp_path / "events.jsonl"
    rows.write_text('{"question": "What is 1 + 1?"}\n[]\n')
    assert build(tmp_path, server, "--data", str(rows), "--events", str(events)).exit_code == 2
    said = lines(events)[-1]["said"]
    assert said["code"] == 2
    assert [sentence.partition(":")[0] for sentence in said["sentences"]] == [
        "rows.jsonl line 1",
        "rows.jsonl line 2",
    ]


def test_a_line_that_was_cut_off_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b'{"event": "Sco')
    with open_event_file(events) as file:
        file.read(Log("goes on"))
    assert events.read_bytes().splitlines()[0] == b'{"event": "Sco'
    assert [orjson.loads(line)["event"] for line in events.read_bytes().splitlines()[1:]] == [
        "RunBegan",
        "Log",
    ]


def test_an_error_is_told_and_raised(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with pytest.raises(DataTooSmall), open_event_file(events):
        raise DataTooSmall("3 train rows are too few")
    assert lines(events)[-1]["said"] == {"code": 2, "sentences": ["3 train rows are too few"]}


def test_an_id_is_given_once(tmp_path: Path, server: Server) -> None:
    done = build(tmp_path, server, "--build-id", "one", "--resume", "one")
    assert done.exit_code == 2 and "keep one of them" in done.stderr
