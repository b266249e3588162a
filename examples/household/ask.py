"""Asks the program `household` with OpenAI's client, runs the tools that it calls, and prints what it says.

python examples/household/ask.py "Turn on the lamp in the kitchen and ring in 10 minutes."
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import OpenAI

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "switch_lamp",
            "description": "Switches the lamp of a room on or off.",
            "parameters": {
                "type": "object",
                "properties": {"room": {"type": "string"}, "on": {"type": "boolean"}},
                "required": ["room", "on"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "set_timer",
            "description": "Rings after some minutes.",
            "parameters": {
                "type": "object",
                "properties": {"minutes": {"type": "integer", "minimum": 1}, "label": {"type": "string"}},
                "required": ["minutes"],
            },
        },
    },
]
MOST_STEPS = 4


def run(name: str, arguments: dict[str, Any]) -> str:
    """A real house would do it here."""
    print(f"  {name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})")
    return "done"


def ask(client: OpenAI, text: str) -> str:
    """What the house says, after all tools have been run that it calls."""
    messages: list[Any] = [{"role": "user", "content": text}]
    for _ in range(MOST_STEPS):
        message = (
            client.chat.completions.create(model="household", messages=messages, tools=TOOLS)
            .choices[0]
            .message
        )
        if not message.tool_calls:
            return message.content or ""
        messages.append(message)
        for call in message.tool_calls:
            if call.type == "function":
                given = run(call.function.name, json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": given})
    return "(it went on calling tools)"


if __name__ == "__main__":
    base = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080/v1"
    print(ask(OpenAI(base_url=base, api_key="none"), sys.argv[1]))
