"""DSPy's own random search as its user runs it: stock `dspy.LM`, adapter, threads and cache.

Run by `benchmarks.build` in a process of its own; prints one JSON object. Measures the untouched program and
the compiled one on the test rows, as a person who wants to know the gain does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean

import dspy

from programs.loading import load_program
from programs.program import Program

THREADS = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--candidates", type=int, default=8)
    asked = parser.parse_args()
    program = load_program(asked.program)
    lm = dspy.LM(
        f"openai/{asked.model}", api_base=f"{asked.url}/v1", api_key="none", **program.sampling.as_request()
    )
    dspy.configure(lm=lm)
    train, dev, test = (
        examples_in(program, asked.folder / f"{part}.jsonl") for part in ("train", "dev", "test")
    )
    with redirect_stdout(sys.stderr):
        before = score(program, program.make_module(), test)
        search = dspy.BootstrapFewShotWithRandomSearch(
            metric=program.metric,
            max_bootstrapped_demos=4,
            max_labeled_demos=4,
            num_candidate_programs=asked.candidates,
            num_threads=THREADS,
            max_errors=len(train) * 100,
        )
        compiled = search.compile(program.make_module(), trainset=train, valset=dev)
        after = score(program, compiled, test)
    paid = [entry["usage"] for entry in lm.history if entry["usage"]]
    told = {
        "calls": len(paid),
        "prompt_tokens": sum(usage["prompt_tokens"] for usage in paid),
        "completion_tokens": sum(usage["completion_tokens"] for usage in paid),
        "before": before,
        "after": after,
    }
    print(json.dumps(told))


def examples_in(program: Program, path: Path) -> list[dspy.Example]:
    inputs = list(program.make_module().predictors()[0].signature.input_fields)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if program.chat.history in row:
            row[program.chat.history] = dspy.History(messages=row[program.chat.history])
    return [dspy.Example(**row).with_inputs(*inputs) for row in rows]


def score(program: Program, module: dspy.Module, test: Sequence[dspy.Example]) -> float:
    evaluate = dspy.Evaluate(
        devset=list(test), metric=program.metric, num_threads=THREADS, max_errors=len(test) + 1
    )
    # The result's own score is rounded.
    return fmean(float(score) for _, _, score in evaluate(module).results)


if __name__ == "__main__":
    main()
