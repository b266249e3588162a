"""Logs the program as an MLflow model, as MLflow's own guide does, for `mlflow models serve`.

Arguments: the upstream's URL, a JSON file with the program's demonstrations, the folder for the model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dspy
import mlflow


def save(upstream: str, demos: list[dict[str, str]], folder: str) -> None:
    lm = dspy.LM(
        "openai/tiny", api_base=f"{upstream}/v1", api_key="unused", temperature=0, max_tokens=512, cache=False
    )
    dspy.configure(lm=lm)
    program = dspy.ChainOfThought("question -> answer")
    program.predict.demos = [dspy.Example(**demo).with_inputs("question") for demo in demos]
    example = {"question": "How many rolls are left?"}
    mlflow.dspy.save_model(program, folder, input_example=example, pip_requirements=[])


if __name__ == "__main__":
    url, demos_file, into = sys.argv[1:]
    save(url, json.loads(Path(demos_file).read_text()), into)
