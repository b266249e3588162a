from __future__ import annotations

from pathlib import Path

from compiler.events import Described
from compiler.request import DataPaths
from compiler.spending import Ceiling
from compiler.tracking.parameters import as_texts, parameters_of, settings_of
from tests.compiler.conftest import Builds
from tests.compiler.scripted import program, request


def test_a_build_tells_every_argument_with_its_default_before_it_searches(builds: Builds) -> None:
    (told,) = [event.parameters for event in builds.worked if isinstance(event, Described)]
    assert told["optimizer"] == "BootstrapFewShot" and told["optimizer.max_bootstrapped_demos"] == "4"
    assert (told["examples.test"], told["seed"], told["concurrency"]) == ("40", "0", "16")


def test_limits_and_files_are_told_where_they_are_set(tmp_path: Path) -> None:
    asked = request(tmp_path, program(), ceiling=Ceiling(usd=2.0), data=DataPaths(train=Path("rows.jsonl")))
    told = parameters_of({"settings": settings_of(asked)})
    assert told["ceiling.usd"] == "2.0" and "ceiling.calls" not in told
    assert told["file.train"] == "rows.jsonl" and "file.test" not in told and "target" not in told


def test_a_chosen_optimiser_is_told_beside_what_was_asked_for() -> None:
    told = parameters_of(
        {"asked": {"optimizer": "auto"}, "optimizer": {"name": "none", "arguments": {"k": 4}}}
    )
    assert told == {"optimizer": "none", "optimizer_asked": "auto", "optimizer.k": "4"}


def test_a_model_is_its_name_and_a_digest_of_what_it_is() -> None:
    def student(**identity: object) -> dict[str, str]:
        return parameters_of({"asked": {"student": {"name": "default", "model": "tiny", **identity}}})

    first, other = student(prompt_tokens=[1, 2]), student(prompt_tokens=[1, 3])
    assert first["student.model"] == "tiny" and len(first["student.fingerprint"]) == 12
    assert first["student.fingerprint"] != other["student.fingerprint"]


def test_values_are_texts_and_what_is_not_set_is_left_out() -> None:
    values = {"a": 1, "b": None, "c": "x", "d": [1], "e": False}
    assert as_texts(values) == {"a": "1", "c": "x", "d": "[1]", "e": "false"}
