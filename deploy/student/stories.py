"""The student's training text for `gsm8k`: word problems worked out as the demonstrations work theirs out.

Without demonstrations the length of a problem decides whether it is worked out. Knows nothing of tokens.
"""

from __future__ import annotations

import random
from typing import Literal

from deploy.student.prompts import Prompts, Turn
from programs.tasks import gsm8k
from programs.tasks.arithmetic import DIRECT
from programs.tasks.story_problems import Problem, Style, draw_from

# Share of problems that are worked out unprompted, by their number of steps.
WORKED_SHARE = {2: 0.75, 3: 0.25, 4: 0.15}
ASK_STEPS = ("Show each step, then give the number.", "Work it out one step at a time.")
ASK_DIRECT = ("Give only the number.", "Give the number at once.")
_Form = Style | Literal["direct"]
# How demonstrations are worked out, and in what share of the chats.
FORMS: dict[_Form, float] = {"sentences": 0.35, "lines": 0.35, "equations": 0.12, "direct": 0.18}


class Stories:
    """Draws chats of word problems, rendered exactly as `gsm8k` renders them."""

    def __init__(self) -> None:
        module = gsm8k.make_module()
        self._prompts = Prompts(module)
        ((_, predictor),) = module.named_predictors()
        self._own: str = predictor.signature.instructions

    def chat(self, rng: random.Random, most: int) -> list[Turn]:
        """A talk with up to `most` demonstrations before the request."""
        count = 0 if rng.random() < 0.2 else rng.randint(min(1, most), most)
        problems = [draw_from(rng, "corpus") for _ in range(count + 1)]
        instruction, asked = self._instruction(rng)
        bare = _lacking_working(rng, count)
        mixed = asked is None and bare < count and rng.random() < 0.15
        forms: list[_Form]
        if asked is not None:
            forms = [asked] * (count + 1)
        elif bare == count:
            forms = [_unprompted(rng, problem) for problem in problems]
        elif mixed:
            forms = _mixed(rng, problems, bare)
        else:
            forms = rng.choices([*FORMS], [*FORMS.values()]) * (count + 1)
        turns = [self._prompts.system(instruction)]
        for at, (problem, form) in enumerate(zip(problems, forms, strict=True)):
            inputs, answer = {"question": problem.question}, str(problem.answer)
            if at < bare:
                turns += self._prompts.incomplete(inputs, {"answer": answer})
                continue
            # The form of the first demonstration, and of any among mixed ones, can't be foreseen.
            learned = at == count or asked is not None or (at > bare and not mixed)
            outputs = {"reasoning": worked_out(problem, form), "answer": answer}
            turns += self._prompts.turn(inputs, outputs, asked=at == count, learned=learned)
        return turns

    def _instruction(self, rng: random.Random) -> tuple[str, _Form | None]:
        """What the system message says, and the form of the replies where it says that too."""
        drawn = rng.random()
        if drawn < 0.78:
            return self._own, None
        if drawn < 0.86:
            return rng.choice(("Solve the problem.", "Find the number that is asked for.")), None
        if drawn < 0.94:
            return rng.choice(ASK_STEPS), "sentences"
        return rng.choice(ASK_DIRECT), "direct"


def worked_out(problem: Problem, form: _Form) -> str:
    return DIRECT if form == "direct" else problem.reasoning(form)


def _lacking_working(rng: random.Random, count: int) -> int:
    """How many demonstrations, the first ones, give the answer only."""
    drawn = rng.random()
    if drawn < 0.15:
        return count
    return rng.randint(1, count - 1) if count > 1 and drawn < 0.4 else 0


def _unprompted(rng: random.Random, problem: Problem) -> _Form:
    return "sentences" if rng.random() < WORKED_SHARE[len(problem.steps)] else "direct"


def _mixed(rng: random.Random, problems: list[Problem], bare: int) -> list[_Form]:
    """Worked out now and then, as an optimiser's finds are; the last such one shows the request its form."""
    among: tuple[_Form, ...] = rng.choice((("sentences",), ("lines",), ("sentences", "lines")))
    forms: list[_Form] = [
        rng.choice(among) if rng.random() < WORKED_SHARE[len(problem.steps)] else "direct"
        for problem in problems
    ]
    forms[-1] = next((form for form in reversed(forms[bare:-1]) if form != "direct"), "direct")
    return forms
