"""The teaching program on the bundled student, which is too small for it: built, judged and served."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from openai import APIStatusError, OpenAI

from engine.errors import ContextWindowExceeded
from programs.errors import ReplyUnparseable
from programs.tasks import teaching
from smallforge import PedagogicalTrainer
from tests.integration.conftest import furnish, running

SAMPLE = Path(teaching.__file__).parent / "lessons"


def test_the_lessons_are_built_judged_and_served_as_they_are(engine_url: str, tmp_path: Path) -> None:
    house = furnish(tmp_path, engine_url)
    # The student is made to judge itself, and most of its judgements go on to the last token allowed.
    few = tmp_path / "few.jsonl"
    few.write_text("".join((SAMPLE / "test.jsonl").read_text().splitlines(keepends=True)[:10]))
    none = ("--optimizer", "none", "--mlflow-uri", "off", "--test", str(few))
    told = house.run("compiler", "build", "teaching", "--teacher", engine_url, *none)
    assert "teaching: none, 10 held-out examples" in told and "Lowered to a plan" in told
    judged, misjudged = "Second opinion, judged_by_rubric(response) by", "gave no readable score in 3 tries"
    assert judged in told or misjudged in told
    with (
        running(["gateway", "serve"], house.folder, f"{house.gateway}/readyz", seconds=60),
        OpenAI(base_url=f"{house.gateway}/v1", api_key="unused", max_retries=0) as client,
    ):
        message = {"role": "user", "content": "Why are leaves green?"}
        try:
            reply = client.chat.completions.create(model="teaching", messages=[message])  # type: ignore[list-item]
            assert reply.choices[0].message.content
        except APIStatusError as error:
            assert (error.status_code, error.code) == (502, "program_output_invalid")


def test_the_trainer_builds_on_the_bundled_student_and_asks_it(engine_url: str, tmp_path: Path) -> None:
    config = tmp_path / "smallforge.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\n[compiler]\nmlflow_uri = "off"\n')
    releases = tmp_path / "releases"
    with PedagogicalTrainer(engine_url, releases=releases, config=config, show=False) as trainer:
        result = trainer.train(optimizer="LabeledFewShot", arguments={"k": 1})
        assert result.compiled.n == 40 and result.lowered and result.second_opinion is None
        with contextlib.suppress(ReplyUnparseable):
            assert trainer.generate("Why is ice cold?", grade=4)
        with pytest.raises(ContextWindowExceeded):
            trainer.generate("Why? " * 30_000)
