from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from deploy.student import tokenizer as pieces
from deploy.student import train
from deploy.student.corpus import Corpus
from deploy.student.model import Shape
from deploy.student.peers import Peers
from deploy.student.rows import Rows
from deploy.student.train import Run, Trainer

STUDENT = Path(train.__file__).parent


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows(pieces.build(Corpus().sample(0, 100)), seed=0, row=1024)


def trainer(rows: Rows) -> Trainer:
    return Trainer(Shape(len(rows.tokenizer), width=32, layers=1, heads=2, hidden=32), Run(row=1024))


def opened(folder: Path) -> tuple[Any, Any]:
    """The student in a folder and its tokenizer, by the class for its form: importing that takes a second."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_loss_falls_within_a_few_steps(rows: Rows) -> None:
    small, row = trainer(rows), rows.at(9_000_000)
    losses = [small.train(row, 1.0) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_a_resumed_run_takes_the_same_next_step(rows: Rows, tmp_path: Path) -> None:
    whole, resumed = trainer(rows), trainer(rows)
    for _ in range(3):
        whole.train(rows.at(whole.seen), 1.0)
    whole.save(tmp_path / "checkpoint.pt")
    resumed.restore(tmp_path / "checkpoint.pt")
    assert (resumed.step, resumed.seen) == (3, 3 * 1024)
    assert whole.train(rows.at(whole.seen), 1.0) == resumed.train(rows.at(resumed.seen), 1.0)
    assert all(torch.equal(whole.mean[name], resumed.mean[name]) for name in whole.mean)


def test_a_student_taken_over_is_resumed_in_the_shape_in_which_it_began(tmp_path: Path) -> None:
    tokenizer, checkpoint = pieces.load(STUDENT), tmp_path / "checkpoint.pt"
    asked = ["--checkpoint", str(checkpoint), "--device", "cpu"]
    deeper = [*asked, "--from", str(STUDENT), "--layers", "8"]
    begun = train.prepare(train.arguments(deeper), tokenizer, Peers())
    begun.save(checkpoint)
    resumed = train.prepare(train.arguments([*asked, "--resume"]), tokenizer, Peers())
    assert resumed.student.shape == begun.student.shape
    assert (resumed.seen, resumed.warm_up) == (begun.seen, begun.warm_up)


def test_an_export_loads_in_transformers(rows: Rows, tmp_path: Path) -> None:
    small = trainer(rows)
    small.train(rows.at(0), 1.0)
    small.export(rows.tokenizer, tmp_path)
    llama, tokenizer = opened(tmp_path)
    assert llama.lm_head.weight is llama.model.embed_tokens.weight
    assert tokenizer.get_vocab() == rows.tokenizer.get_vocab()
    assert tokenizer.chat_template == pieces.CHAT_TEMPLATE


def test_an_interrupted_run_saves_what_it_has(rows: Rows, tmp_path: Path) -> None:
    small, checks = trainer(rows), iter([False, False, True])
    train.learn(small, rows, tmp_path / "checkpoint.pt", lambda: next(checks))
    assert small.step == 2
    assert (tmp_path / "checkpoint.pt").exists()


def test_the_rate_falls_only_at_the_end_of_the_budget() -> None:
    run = Run(tokens=1000, minutes=1e9, decay=0.25)
    assert train.pace(run, 0.0, 500) == pytest.approx(0.5)
    assert train.pace(Run(minutes=0), 0.0, 0) == 1.0


def test_the_shipped_student_is_a_llama_of_the_declared_shape() -> None:
    config = json.loads((STUDENT / "config.json").read_text(encoding="utf-8"))
    llama, tokenizer = opened(STUDENT)
    assert config["max_position_embeddings"] == 8192
    assert llama.config.vocab_size == len(tokenizer) == config["vocab_size"]
    assert sum(p.numel() for p in llama.parameters()) < 15_000_000


def test_the_shipped_student_keeps_dspys_format() -> None:
    llama, tokenizer = opened(STUDENT)
    prompts = Corpus().prompts["order_entry"]
    request = prompts.turn(
        {"message": "Hello, this is Anna. Please send 12 lamps."}, {"line": ""}, asked=True
    )[0]
    turns = [prompts.system("Write the order line for the message."), request]
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        reply = llama.generate(**ids, max_new_tokens=24)[0, ids["input_ids"].shape[1] :]
    text = tokenizer.decode(reply, skip_special_tokens=True)
    assert text.startswith("[[ ## line ## ]]\nlamps; 12 pcs") and text.endswith("[[ ## completed ## ]]\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [(["--layers", "9"], "--layers needs --from"), (["--from", "nowhere"], "'nowhere' holds no student")],
)
def test_what_a_run_can_not_begin_with_is_told_before_it_begins(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.arguments(given)
    assert told in capsys.readouterr().err
