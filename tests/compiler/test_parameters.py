from __future__ import annotations

from pathlib import Path

from compiler.labeled import LabeledFewShot
from compiler.parameters import as_texts, parameters_of, settings_of
from compiler.request import DataPaths
from compiler.spending import Ceiling
from tests.compiler.scripted import program, request


def test_every_argument_of_the_optimiser_is_told_with_its_default(tmp_path: Path) -> None:
    asked = request(tmp_path, program(), ceiling=Ceiling(usd=2.0), data=DataPaths(train=Path("rows.jsonl")))
    told = parameters_of({"settings": settings_of(asked, LabeledFewShot())})
    assert told["optimizer.k"] == "16" and told["ceiling.usd"] == "2.0" and told["concurrency"] == "16"
    assert told["file.train"] == "rows.jsonl" and "file.test" not in told and "target" not in told


def test_a_model_is_its_name_and_a_digest_of_what_it_is() -> None:
    def student(**identity: object) -> dict[str, str]:
        return parameters_of({"asked": {"student": {"name": "default", "model": "tiny", **identity}}})

    first, other = student(prompt_tokens=[1, 2]), student(prompt_tokens=[1, 3])
    assert first["student.model"] == "tiny" and len(first["student.fingerprint"]) == 12
    assert first["student.fingerprint"] != other["student.fingerprint"]


def test_values_are_texts_and_what_is_not_set_is_left_out() -> None:
    assert as_texts({"a": 1, "b": None, "c": "x", "d": [1], "e": False}) == {
        "a": "1",
        "c": "x",
        "d": "[1]",
        "e": "false",
    }
