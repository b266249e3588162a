"""The page on security names a test for every threat, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def names_in(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_has_its_row_and_its_tests() -> None:
    rows = re.findall(r"^\| T(\d+) \|(.*)$", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 23))
    assert all(NAMED.search(row) for _, row in rows)


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert [(file, name) for file, name in named if name not in names_in(ROOT / file)] == []
    assert len(named) > 40


def test_every_test_of_a_threat_stands_in_its_row() -> None:
    rows = dict(re.findall(r"^\| T(\d+) \|(.*)$", PAGE, re.MULTILINE))
    for file in Path(__file__).parent.glob("test_*.py"):
        for name in names_in(file):
            for number in re.findall(r"t(\d\d)_", name):
                assert name in rows[str(int(number))], f"{name} is not in the row of T{int(number)}"
