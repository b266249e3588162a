"""One of DSPy's own optimisers as its user runs it: stock `dspy.LM`, adapter and threads, its cache off.

Run by `benchmarks.build_optimizers` in a process of its own; prints one JSON object. Measures the untouched
program and the compiled one on the test rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import dspy

from benchmarks.rivals.stock_build import THREADS, examples_in, score
from programs.loading import load_program
from programs.program import Program

NO_LIMIT = 10**9


class Task(NamedTuple):
    """What an optimiser is given."""

    program: Program
    student: dspy.LM
    proposer: dspy.LM
    train: list[dspy.Example]
    dev: list[dspy.Example]
    seed: int

    def compile(self, optimizer: Any, **arguments: Any) -> dspy.Module:
        return optimizer.compile(self.program.make_module(), **arguments)

    def feedback(self, gold: Any, pred: Any, trace: Any = None, name: Any = None, one: Any = None) -> Any:
        value = self.program.metric(gold, pred, trace)
        right = "; ".join(f"{field}: {label}" for field, label in gold.labels().items())
        told = f"This answer scores {value:g}. What was expected: {right}"
        return dspy.Prediction(score=value, feedback=told)


def labeled(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    return task.compile(dspy.LabeledFewShot(**arguments), trainset=task.train)


def bootstrap(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    optimizer = dspy.BootstrapFewShot(metric=task.program.metric, max_errors=NO_LIMIT, **arguments)
    return task.compile(optimizer, trainset=task.train)


def random_search(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    return task.compile(_random_search(task, arguments), trainset=task.train, valset=task.dev)


def copro(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    how = {"trainset": task.dev, "eval_kwargs": {"num_threads": THREADS}}
    return task.compile(_copro(task, arguments), **how)


def mipro(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    own = dict(arguments)
    trials = own.pop("num_trials")
    optimizer = dspy.MIPROv2(
        metric=task.program.metric,
        prompt_model=task.proposer,
        task_model=task.student,
        auto=None,
        num_threads=THREADS,
        max_errors=NO_LIMIT,
        seed=task.seed,
        **own,
    )
    how = {"trainset": task.train, "valset": task.dev, "num_trials": trials, "minibatch": False}
    return task.compile(optimizer, **how)


def simba(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    optimizer = dspy.SIMBA(metric=task.feedback, prompt_model=task.proposer, num_threads=THREADS, **arguments)
    return task.compile(optimizer, trainset=task.train, seed=task.seed)


def gepa(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    return task.compile(_gepa(task, arguments), trainset=task.train, valset=task.dev)


def together(task: Task, arguments: Mapping[str, Any]) -> dspy.Module:
    steps = {"p": _random_search, "c": _copro, "g": _gepa}
    inner = arguments["arguments"]
    made = {letter: steps[letter](task, inner.get(letter, {})) for letter in inner}
    optimizer = dspy.BetterTogether(metric=task.program.metric, **made)
    module = task.program.make_module()
    module.set_lm(task.student)
    own = {"c": {"trainset": task.dev, "eval_kwargs": {"num_threads": THREADS}}} if "c" in made else {}
    return optimizer.compile(
        module,
        trainset=task.train,
        valset=task.dev,
        num_threads=THREADS,
        max_errors=NO_LIMIT,
        seed=task.seed,
        strategy=arguments["strategy"],
        optimizer_compile_args=own,
    )


OPTIMIZERS: Mapping[str, Callable[[Task, Mapping[str, Any]], dspy.Module]] = {
    "LabeledFewShot": labeled,
    "BootstrapFewShot": bootstrap,
    "BootstrapFewShotWithRandomSearch": random_search,
    "COPRO": copro,
    "MIPROv2": mipro,
    "SIMBA": simba,
    "GEPA": gepa,
    "BetterTogether": together,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("optimizer", choices=OPTIMIZERS)
    parser.add_argument("arguments", type=json.loads)
    parser.add_argument("student", nargs=2, metavar=("URL", "MODEL"))
    parser.add_argument("proposer", nargs=2, metavar=("URL", "MODEL"))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    program = load_program(asked.program)
    sampling = program.sampling.as_request()
    student, proposer = _lm(asked.student, **sampling), _lm(asked.proposer, temperature=1.0)
    dspy.configure(lm=student)
    train, dev, test = (
        examples_in(program, asked.folder / f"{part}.jsonl") for part in ("train", "dev", "test")
    )
    task = Task(program, student, proposer, train, dev, asked.seed)
    with redirect_stdout(sys.stderr):
        before = score(program, program.make_module(), test)
        begun = time.monotonic()
        compiled = OPTIMIZERS[asked.optimizer](task, asked.arguments)
        seconds = time.monotonic() - begun
        after = score(program, compiled, test)
    print(json.dumps({"before": before, "after": after, "search_seconds": seconds}))


def _lm(address: list[str], **sampling: Any) -> dspy.LM:
    url, model = address
    return dspy.LM(f"openai/{model}", api_base=f"{url}/v1", api_key="none", cache=False, **sampling)


def _random_search(task: Task, arguments: Mapping[str, Any]) -> Any:
    return dspy.BootstrapFewShotWithRandomSearch(
        metric=task.program.metric, num_threads=THREADS, max_errors=NO_LIMIT, **arguments
    )


def _copro(task: Task, arguments: Mapping[str, Any]) -> Any:
    return dspy.COPRO(prompt_model=task.proposer, metric=task.program.metric, **arguments)


def _gepa(task: Task, arguments: Mapping[str, Any]) -> Any:
    return dspy.GEPA(
        metric=task.feedback,
        reflection_lm=task.proposer,
        num_threads=THREADS,
        add_format_failure_as_feedback=True,
        seed=task.seed,
        warn_on_score_mismatch=False,
        **arguments,
    )


if __name__ == "__main__":
    main()
