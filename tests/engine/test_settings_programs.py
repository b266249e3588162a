"""What `[programs.NAME]` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import read_settings
from engine.settings_programs import ProgramSettings, Rung

BIG = "[engines.lab]\nurls = ['http://10.0.0.5:8000']\n[teachers.big]\nengine = 'lab'\n"


def programs(folder: Path, text: str) -> dict[str, ProgramSettings]:
    file = folder / "smallforge.toml"
    file.write_text(BIG + text)
    return dict(read_settings(file).programs)


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        programs(folder, text)
    return "\n".join(caught.value.mistakes)


def test_a_ladder_is_read_in_its_order(tmp_path: Path) -> None:
    found = programs(tmp_path, '[programs.quiz]\nescalate = ["constrain", "retry", "teacher:big"]')
    rungs = (Rung("constrain", "constrain"), Rung("retry", "retry"), Rung("teacher:big", "teacher", "big"))
    assert found == {"quiz": ProgramSettings(rungs)}


def test_a_hosted_model_may_be_a_teacher_without_a_table(tmp_path: Path) -> None:
    found = programs(tmp_path, '[programs.quiz]\nescalate = ["teacher:openai/gpt-4.1"]')
    assert found["quiz"].escalate[0].teacher == "openai/gpt-4.1"


def test_every_mistake_is_told(tmp_path: Path) -> None:
    text = '[programs.quiz]\nescalate = ["again", "teacher:small"]\n[programs."quiz@1"]\nescalat = []'
    assert "escalat is no setting; did you mean 'escalate'?" in mistakes(tmp_path, text)
    told = mistakes(tmp_path, text.replace("escalat = []", ""))
    assert "'again' is no rung; write 'constrain', 'retry' or 'teacher:NAME'" in told
    assert "there is no teacher 'small'; configured: 'big'" in told
    assert "programs.'quiz@1': what is said here holds for all releases" in told


def test_a_ladder_has_an_end(tmp_path: Path) -> None:
    assert "has 9 rungs; allowed are 8" in mistakes(tmp_path, f"[programs.quiz]\nescalate = {['retry'] * 9}")
