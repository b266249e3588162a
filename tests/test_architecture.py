"""The rules of the house, checked on every tracked file: who imports whom, how large things may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("programs", "engine", "compiler", "gateway")

MAY_IMPORT: dict[str, set[str]] = {
    "programs": {"programs"},
    "engine": {"engine"},
    "compiler": {"compiler", "programs", "engine"},
    "gateway": {"gateway", "programs", "engine"},
}

MODULE_LINES, FUNCTION_LINES, PARAMETERS = 400, 80, 6

LONGER_FUNCTIONS: dict[str, str] = {}
MORE_PARAMETERS: dict[str, str] = {}
BROAD_EXCEPTS: dict[str, str] = {
    "programs/loading.py:_load_file": "a stranger's program file can raise anything",
    "programs/loading.py:blamed_on": "what a program of the user's own raises becomes a sentence",
    "programs/loading.py:_import": "an installed program's module can raise anything",
    "programs/threads.py:_run": "what is raised in a thread is raised where its result is awaited",
    "compiler/scoring.py:score": "one example on which the metric raises scores zero",
    "compiler/scoring.py:run": "one example on which the program raises scores zero",
    "compiler/service/turn.py:_answer": "the operator's program can raise anything; the other side goes on",
    "gateway/catalog.py:_load": "whatever a stranger's release folder holds, the other releases are served",
    "gateway/executors.py:interpreted_executor": "the operator's program can raise anything",
    "gateway/workers.py:_be_a_worker": "a worker's own end: what it raises is logged, the process is gone",
    "gateway/routes.py:__call__": "the request boundary: the client gets an error it can read",
}
READS_ENVIRONMENT: dict[str, str] = {
    "gateway/command.py": "prometheus-client chooses its multiprocess mode by a variable, which this sets",
    "programs/data.py": "SMALLFORGE_DATA, for a benchmark's own examples()",
    "programs/retrieval.py": "SMALLFORGE_RETRIEVER, which a program's own make_module() opens",
    "programs/embedding_endpoint.py": "the key of a program's own embedder, which only the program names",
    "compiler/service/places.py": "a build is a process of its own: it gets the server's environment",
    "compiler/tracking/mlflow_store.py": "MLflow takes its own settings from nowhere else",
    "engine/keeper.py": "a process of its own; hands its environment on to the engine it keeps",
    "engine/hub_cache.py": "Hugging Face's own variables say where its tools keep models",
    "engine/settings.py": "the edge: everything else gets what is read here",
    "engine/hosted.py": "LiteLLM is told there, and nowhere else, to use its own table of prices",
}

# Split so that this file doesn't hold what it looks for.
FORBIDDEN_TEXT = {
    "a registry's host": re.compile(
        "|".join(["pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "deb\\." + "debian"])
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.\-/])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + r"me/\w+"]) + ")/"
    ),
    "unfinished work": re.compile("|".join(["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error"])),
}


PART_OF = {"pydantic_core": "pydantic", "annotated_types": "pydantic"}
"""Libraries that another one brings and documents as its own."""


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / line for line in listed.splitlines()]
    return [path for path in paths if path.suffix in suffixes and path.exists()]


def modules(*folders: str) -> list[Path]:
    return [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] in folders]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


LOOKED_AT = (
    ast.Import, ast.ImportFrom, ast.Call, ast.Attribute, ast.FunctionDef, ast.AsyncFunctionDef, ast.Global
)  # fmt: skip


@cache
def nodes(path: Path) -> list[ast.AST]:
    """What the rules look at in a module, at any depth."""
    tree = ast.parse(path.read_text(), filename=str(path))
    return [node for node in ast.walk(tree) if isinstance(node, LOOKED_AT)]


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports at any depth, lazily and for types included."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield path.relative_to(ROOT).parts[0]
        elif isinstance(node, ast.Call) and called(node.func).endswith("import_module"):
            yield from (str(arg.value) for arg in node.args if isinstance(arg, ast.Constant))


def called(function: ast.expr) -> str:
    """The last part of the name that is called; empty where it has none."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name_of(path)}:{node.name}", node


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    starred = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
    return len([arg for arg in [*named, *starred] if arg.arg not in ("self", "cls")])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    ours = {*PACKAGES, "smallforge", "tests", "benchmarks", "deploy"}
    offences = [
        f"{name_of(path)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in ours - MAY_IMPORT[package]
    ]
    assert offences == []


def test_every_imported_library_is_a_declared_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    declared = {re.split(r"[\[<>=; ]", line)[0].lower().replace("_", "-") for line in lines}
    owners = packages_distributions()
    offences = set()
    for path in modules(*PACKAGES):
        for name in {name.split(".")[0] for name in imports(path)} - {*PACKAGES, *sys.stdlib_module_names}:
            distributions = {
                owner.lower().replace("_", "-") for owner in [PART_OF.get(name, name), *owners.get(name, [])]
            }
            if not distributions & declared:
                offences.add(f"{name_of(path)} imports {name}")
    assert offences == set()


def test_a_module_has_at_most_400_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in tracked(".py")}
    assert {name: length for name, length in lengths.items() if length > MODULE_LINES} == {}


def test_a_function_has_at_most_80_lines() -> None:
    lengths = {
        name: (node.end_lineno or node.lineno) - node.lineno + 1
        for path in tracked(".py")
        for name, node in functions(path)
    }
    assert {
        n: length for n, length in lengths.items() if length > FUNCTION_LINES and n not in LONGER_FUNCTIONS
    } == {}


def test_a_function_has_at_most_6_parameters() -> None:
    counts = {name: parameters(node) for path in modules(*PACKAGES) for name, node in functions(path)}
    assert {n: count for n, count in counts.items() if count > PARAMETERS and n not in MORE_PARAMETERS} == {}


def test_the_median_module_has_at_most_160_lines() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in modules(*PACKAGES))
    assert lengths[len(lengths) // 2] <= 160


def test_nothing_is_declared_global() -> None:
    offences = [
        f"{name_of(path)}:{node.lineno}"
        for path in tracked(".py")
        for node in nodes(path)
        if isinstance(node, ast.Global)
    ]
    assert offences == []


def broad_excepts(path: Path) -> list[str]:
    found = []
    for name, node in functions(path):
        for handler in (n for n in ast.walk(node) if isinstance(n, ast.ExceptHandler)):
            caught = ast.unparse(handler.type) if handler.type else ""
            last = handler.body[-1]
            cleans_up = isinstance(last, ast.Raise) and last.exc is None
            if caught in ("", "Exception", "BaseException") and not cleans_up:
                found.append(name)
    return found


def test_everything_is_caught_only_where_the_house_names_it() -> None:
    found = {name for path in modules(*PACKAGES) for name in broad_excepts(path)}
    assert found == set(BROAD_EXCEPTS)


def test_the_environment_is_read_only_at_the_edge() -> None:
    reading = {
        name_of(path)
        for path in modules(*PACKAGES)
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if ast.unparse(node) in ("os.environ", "os.getenv")
    }
    assert reading == set(READS_ENVIRONMENT)


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc", "base"}
    offences = [
        name_of(path)
        for path in tracked(".py")
        if empty & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} or "_v2" in path.stem
    ]
    assert offences == []


def test_nothing_on_a_load_path_can_execute_what_it_reads() -> None:
    dangerous = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
    offences = [
        f"{name_of(path)} imports {name}"
        for path in modules(*PACKAGES)
        for name in imports(path)
        if name.split(".")[0] in dangerous
    ]
    assert offences == []


def test_tests_replace_nothing() -> None:
    offences = []
    for path in modules("tests"):
        offences += [
            f"{name_of(path)} imports {name}" for name in imports(path) if name.startswith("unittest.mock")
        ]
        offences += [
            name
            for name, node in functions(path)
            if {"monkeypatch", "mocker"} & {arg.arg for arg in node.args.args}
        ]
    assert offences == []


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_tracked_text_holds(what: str) -> None:
    texts = tracked(".py", ".md", ".toml", ".txt", ".sh", ".yaml", ".yml", ".json", ".jsonl", ".ipynb", "")
    offences = [
        f"{name_of(path)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN_TEXT[what].search(line)
    ]
    assert offences == []


def test_the_gateway_starts_without_any_heavy_library() -> None:
    heavy = "{'dspy', 'litellm', 'torch', 'mlflow', 'aiohttp', 'sqlalchemy', 'redis'}"
    script = f"import sys, gateway.app, gateway.command; print(*{heavy} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == ""
