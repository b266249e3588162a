"""The shared language of compiler and gateway: programs, plans, releases."""

from __future__ import annotations

PROGRAMS: dict[str, str] = {
    "arithmetic": "programs.tasks.arithmetic",
    "order_entry": "programs.tasks.order_entry",
    "passage_qa": "programs.tasks.passage_qa",
    "gsm8k": "programs.tasks.gsm8k",
    "scripture_qa": "programs.tasks.scripture_qa",
    "hotpotqa": "programs.tasks.hotpotqa",
    "hotpotqa_retrieval": "programs.tasks.hotpotqa_retrieval",
    "teaching": "programs.tasks.teaching",
}
"""Name -> module that defines `program`; kept as text so that listing imports nothing."""
