"""What the engine behind the scripted gateway does with the questions that clients are made to ask."""

from __future__ import annotations

import json
from typing import Any

from tests.gateway.upstream import Script

TOO_LONG = "This model's maximum context length is 8192 tokens, you asked for 9000."
COMPANY, FIRMA = "你好啊集团", "こんにちは株式会社"
SETUP, PUNCHLINE = "Why did the cat sit on the computer?", "To keep an eye on the mouse."


def joke(*calls: tuple[str, dict[str, Any]], then: Script | None = None) -> Script:
    """A reply of the program `joking`, which calls these tools or else tells its joke."""
    made = json.dumps({"tool_calls": [{"name": name, "args": args} for name, args in calls]})
    fields = {"setup": SETUP, "punchline": "" if calls else PUNCHLINE, "calls": made}
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items())
    return Script(f"{text}[[ ## completed ## ]]\n", then=then)


def in_turn(call: tuple[str, dict[str, Any]]) -> Script:
    """The call, then a joke of what it gave, and both once more."""
    return joke(call, then=joke(then=joke(call, then=joke())))


QUESTIONS = {
    "busy once": Script(status=429, headers={"Retry-After": "1"}, then=Script()),
    "always busy": Script(status=429, headers={"Retry-After": "7"}),
    "failing once": Script(status=500, then=Script()),
    "always failing": Script(status=500),
    "slow": Script(seconds=5),
    "unreadable": Script("I would rather not say."),
    "too long": Script(status=400, error={"error": {"message": TOO_LONG, "type": "BadRequestError"}}),
    "breaks midway": Script(trouble="cut_midway"),
    # What LangChain's tests of tools ask.
    "Joke to tell user.": joke(("Joke", {"setup": SETUP, "punchline": PUNCHLINE})),
    "magic_function(3)": joke(("magic_function", {"input": 3})),
    "magic_function_no_args()": joke(("magic_function_no_args", {})),
    "Hello!": joke(("magic_function", {"input": 3})),
    "a Pirate greeting": joke(("greeting_generator", {"answer_style": "pirate"})),
    "What is 3 + 4": joke(("my_adder_tool", {"a": 3, "b": 4})),
    "weather in San Francisco": in_turn(("get_weather", {"location": "San Francisco, CA"})),
    COMPANY: joke(("unicode_customer", {"customer_name": COMPANY, "description": "Of China."})),
    FIRMA: joke(("unicode_customer", {"customer_name": FIRMA, "description": "Of Japan."})),
}
"""What the engine does with a question that holds these words; with any other it does well."""
