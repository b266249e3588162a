from __future__ import annotations

from pathlib import Path

import jinja2

import benchmarks.small_to_large

TEMPLATE = Path(benchmarks.small_to_large.__file__).parent / "phi2.jinja"


def test_a_chat_becomes_the_question_form_of_phi_2() -> None:
    said = [("system", "Be brief."), ("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")]
    messages = [{"role": role, "content": content} for role, content in said]
    asked = jinja2.Template(TEMPLATE.read_text()).render(messages=messages)
    assert asked == "Be brief.\n\nInstruct: 1 + 1?\nOutput: 2\nInstruct: 2 + 2?\nOutput:"
