from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.teleprompt import Teleprompter

from compiler.errors import BuildFault
from compiler.optimizers.better_together import Together
from compiler.optimizers.silence import silent
from engine.lm import make_lm
from tests.compiler.scripted import Adder, chain, right_sum, sums


class Broken(Teleprompter):
    def compile(self, student: dspy.Module, *, trainset: Any, **more: Any) -> dspy.Module:
        raise ValueError("no row fits")


def test_a_step_that_fails_is_told_with_its_reason() -> None:
    module = chain()
    module.set_lm(make_lm(Adder(), "adder", {}))
    with silent(), pytest.raises(BuildFault, match="a step failed, ValueError: no row fits"):
        Together(right_sum, x=Broken()).compile(module, trainset=sums(3), valset_ratio=0, strategy="x")
