"""The pages can't lie: their commands can be given, their files are there, their settings are settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import compiler.command
import engine.command
import gateway.command

ROOT = Path(__file__).parent.parent
COMMANDS: dict[str, click.Command] = {
    "engine": engine.command.cli,
    "compiler": compiler.command.main,
    "gateway": gateway.command.main,
}
TREE = "programs|engine|compiler|gateway|deploy|tests|benchmarks|docs|requirements|examples"


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def blocks(page: Path, language: str) -> Iterator[str]:
    """Fenced blocks of one language; transcripts are fenced as `text` and not judged."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1]


def shell_lines() -> list[tuple[str, str]]:
    """(page, command) of every line in a `sh` block, and of what follows a prompt in a `console` block."""
    lines = []
    for page in pages():
        typed = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
        shown = "".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
        typed += [line.removeprefix("$ ") for line in shown if line.startswith("$ ")]
        name = page.relative_to(ROOT).as_posix()
        lines += [(name, line.strip()) for line in typed if line.strip() and not line.strip().startswith("#")]
    return lines


def words(line: str) -> list[str]:
    """One simple command: without leading assignments, up to the first operator of the shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[str] = []
    for token in lexer:
        if set(token) <= set("|&;<>()"):
            break
        if found or not re.fullmatch(r"\w+=.*", token):
            found.append(token)
    return found


def every_command(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            yield from every_command(f"{name} {sub.name}", sub)


TREES = [pair for name, command in COMMANDS.items() for pair in every_command(name, command)]


def check_arguments(command: click.Command, name: str, arguments: list[str]) -> None:
    """Raises click.UsageError for a word the command doesn't know; a file a page names needn't exist."""
    context = click.Context(command, info_name=name)
    while isinstance(command, click.Group) and arguments:
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, info_name=found.name, parent=context)
    try:
        command.make_context(name, arguments)
    except click.exceptions.Exit:
        pass  # --help and --version end here
    except click.MissingParameter:
        raise
    except click.BadParameter as error:
        if "does not exist" not in error.message:
            raise


@pytest.mark.parametrize(("path", "command"), TREES, ids=[path for path, _ in TREES])
def test_every_command_explains_itself_and_each_option(path: str, command: click.Command) -> None:
    result = CliRunner().invoke(command, ["--help"], prog_name=path)
    assert result.exit_code == 0
    assert command.help
    silent = [p.opts[0] for p in command.params if isinstance(p, click.Option) and not (p.help or p.hidden)]
    assert silent == []


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_every_command_in_the_pages_can_be_given(page: str, line: str) -> None:
    program, *arguments = words(line)
    if program in COMMANDS:
        check_arguments(COMMANDS[program], program, arguments)
    elif program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in arguments if "=" not in word} <= targets
    else:
        scripts = [
            word for word in [program, *arguments] if re.fullmatch(rf"\.?/?({TREE}|\.ci)/[\w./-]+", word)
        ]
        assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_every_link_leads_to_a_file() -> None:
    broken = []
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            where = (page.parent / path) if path else page
            if re.match(r"[a-z]+:", target):
                continue
            if not where.exists() or (anchor and anchor not in anchors(where)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_file_a_page_names_is_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages()
        for name in re.findall(rf"`((?:{TREE})/[\w./-]+)`", page.read_text())
        if not (ROOT / name).exists()
    ]
    assert missing == []


def test_settings_in_the_pages_are_valid(tmp_path: Path) -> None:
    from engine.settings import read_settings

    for number, block in enumerate(block for page in pages() for block in blocks(page, "toml")):
        if "[project" in block:
            assert tomllib.loads(block)
            continue
        secrets = re.findall(r'key_env = "(\w+)"', block)
        (tmp_path / ".env").write_text("".join(f"{name}=secret\n" for name in secrets))
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        assert read_settings(path).student


SNIPPETS = [
    (page, block) for page in pages() if page.parent.name == "docs" for block in blocks(page, "python")
]


@pytest.mark.parametrize(
    ("page", "snippet"), SNIPPETS, ids=[f"{page.name}:{n}" for n, (page, _) in enumerate(SNIPPETS)]
)
def test_every_snippet_of_the_docs_runs(page: Path, snippet: str, tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(snippet)
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
