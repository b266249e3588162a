"""docs/programs.md does what it says: its rows, commands, program and messages, on a real server."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from engine.chat import Delta, Reply, Usage
from programs.aliases import read_aliases
from programs.measuring import Measurer
from tests.compiler.served import Server, serving

PAGE = (Path(__file__).parent.parent / "docs" / "programs.md").read_text()
WORDS = {"charged": "billing", "crashes": "technical", "schools": "sales"}


class Desk:
    """Names the team by a word of the message; what concerns money it knows only from demonstrations."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        asked = [str(message["content"]) for message in messages if isinstance(message, dict)]
        team = next(team for word, team in WORDS.items() if word in asked[-1])
        shown = any("billing" in text for text in asked[1:-1])
        said = team if shown or team != "billing" else "sales"
        return Reply(f"[[ ## team ## ]]\n{said}\n\n[[ ## completed ## ]]", "", "stop", Usage(50, 5), "desk")

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason="stop", usage=reply.usage)


def block(language: str, index: int = 0) -> str:
    return list[str](re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))[index]


def commands(index: int, program: str) -> list[list[str]]:
    """The arguments of the `compiler` lines in that shell block."""
    return [shlex.split(line)[1:] for line in block("sh", index).splitlines() if line.startswith(program)]


def tickets(path: str, start: int, count: int) -> None:
    """Rows like those of the page, `count` of each."""
    rows = [json.loads(line) for line in block("jsonl").splitlines()]
    lines = [
        {**row, "message": f"{row['message']} Case {n}."} for n in range(start, start + count) for row in rows
    ]
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with contextlib.chdir(tmp_path), serving(Desk()) as served:
        tickets("tickets.jsonl", 0, 30)
        yield served


def run(server: Server, arguments: list[str]) -> Result:
    elsewhere = ["--student", server.url, "--mlflow-uri", "off"] if arguments[0] == "build" else []
    return CliRunner().invoke(main, [*arguments, *elsewhere])


def test_three_commands_lead_from_rows_to_a_release(server: Server) -> None:
    for arguments in commands(0, "compiler"):
        done = run(server, arguments)
        assert done.exit_code == 0, done.output
    assert 'team: Literal["billing", "sales", "technical"]' in Path("tickets.py").read_text()
    assert "Lowered to a plan" in done.stdout and "Weak evidence: 18 test rows" in done.stdout
    assert read_aliases(Path("releases/tickets")).champion is not None


def test_files_of_ones_own_train_select_and_measure(server: Server) -> None:
    tickets("more.jsonl", 100, 10)
    tickets("held_out.jsonl", 200, 10)
    run(server, commands(0, "compiler new")[0])
    (arguments,) = commands(1, "compiler build")
    done = run(server, [*arguments, "--optimizer", "none"])
    assert done.exit_code == 0 and "30 held-out examples" in done.stdout, done.output


def test_the_program_written_by_hand_builds_and_its_releases_are_kept(server: Server) -> None:
    Path("triage.py").write_text(block("python"))
    (arguments,) = commands(2, "compiler build")
    assert run(server, [*arguments[:2], "--optimizer", "none"]).exit_code == 0
    done = run(server, arguments)
    assert done.exit_code == 0 and "Gain +" in done.stdout, done.output
    for arguments in commands(4, "compiler"):
        done = run(server, arguments)
        assert done.exit_code == 0, done.output


def test_bad_lines_are_told_as_the_page_shows_them(server: Server) -> None:
    Path("triage.py").write_text(block("python"))
    lines = [
        '{"message": "a", "team": "sales"}',
        '{"message": "a"}',
        "x",
        '{"message": "a", "team": "legal"}',
    ]
    Path("broken.jsonl").write_text("\n".join(lines))
    asked, *told = block("text").splitlines()
    done = run(server, shlex.split(asked.removeprefix("$ compiler ")))
    assert (done.exit_code, done.stderr.splitlines(), server.calls) == (2, told, 0)


def test_every_metric_and_check_of_the_page_can_be_made_from_public_names() -> None:
    import smallforge

    public = {name: getattr(smallforge, name) for name in smallforge.__all__}
    shown = re.findall(r"^\| `(\w+\(.*?\))` \|", PAGE, re.MULTILINE)
    made = [eval(text, public | {"function": lambda inputs, outputs: True}) for text in shown]
    assert sum(isinstance(thing, Measurer) for thing in made) == 11
    assert sum(hasattr(thing, "problem") for thing in made) == len(made) - 11 == 6
