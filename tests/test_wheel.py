"""The wheel is the product: installed anywhere, it has the commands, the packages and the bundled student."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_carries_the_bundled_student(names: set[str]) -> None:
    student = {name.removeprefix("engine/bundled_student/") for name in names if "bundled_student" in name}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= student
    assert not [name for name in student if name.endswith(".py")]


def test_the_wheel_carries_what_engine_install_reads(names: set[str]) -> None:
    assert "engine/requirements/engine-cpu.txt" in names


def test_the_wheel_carries_the_lessons_of_the_teaching_program(names: set[str]) -> None:
    assert {f"programs/tasks/lessons/{split}.jsonl" for split in ("train", "dev", "test")} <= names


def test_the_wheel_carries_what_a_report_is_drawn_with(names: set[str]) -> None:
    assert {"compiler/report/templates/report.html.jinja", "compiler/report/templates/report.css"} <= names


def test_the_wheel_carries_the_pages_of_the_console(names: set[str]) -> None:
    pages = {f"compiler/service/templates/{name}.html.jinja" for name in ("layout", "train", "job", "status")}
    assert pages | {f"compiler/service/static/console.{kind}" for kind in ("css", "js")} <= names


def test_the_wheel_carries_the_samples_that_programs_are_built_on(names: set[str]) -> None:
    rows = {f"programs/tasks/gsm8k_sample/{split}.jsonl" for split in ("train", "dev", "test")}
    sample = {f"programs/tasks/hotpotqa_sample/{name}.jsonl" for name in ("corpus", "train", "dev", "test")}
    assert rows | sample <= names


def test_the_wheel_carries_the_sample_of_scripture_and_where_the_rest_is_published(names: set[str]) -> None:
    tables = {f"programs/tasks/scripture/{name}.tsv" for name in ("verses", "strongs", "verse_strongs_all")}
    rows = {f"programs/tasks/scripture/{split}.jsonl" for split in ("train", "dev", "test")}
    assert tables | rows | {"compiler/scripture_sources.toml"} <= names


def test_the_wheel_carries_the_packages_and_nothing_else(names: set[str]) -> None:
    packages = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert packages == {"programs", "engine", "compiler", "gateway", "smallforge.py"}
