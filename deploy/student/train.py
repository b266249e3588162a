"""Trains the bundled student from random weights: python deploy/student/train.py --minutes 60 --export DIR.

Or, with --from DIR, goes on from the weights of another one, which may get more pieces and layers. Runs on
a CPU or a GPU, seeded; prints tokens per second and loss, saves a checkpoint every ten minutes and on Ctrl-C,
goes on from it with --resume. The exported directory loads in transformers and vLLM.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

try:
    import torch
except ImportError:
    raise SystemExit("Training needs PyTorch: make torch, or pip install 'smallforge[train]'") from None
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.student import tokenizer as pieces
from deploy.student.copying import LAYERS, begin_copying, hold_constant
from deploy.student.corpus import ALL_FAMILIES, Corpus
from deploy.student.growth import shape_of, take_over
from deploy.student.model import Shape, Student, as_llama, llama_config
from deploy.student.muon import Optimiser
from deploy.student.peers import Peers, join, start
from deploy.student.rows import Row, Rows, ahead

CHECKPOINT_SECONDS = 600.0
WARM_UP_STEPS = 50
TAKE_OVER_STEPS = 400  # what is known is moved gently while the new pieces are still without a meaning


@dataclass(frozen=True)
class Run:
    """What one call trains: so many tokens or minutes, the last `decay` share with a falling rate."""

    seed: int = 0
    row: int = 8192
    """Tokens in one step."""
    tokens: int = 60_000_000
    minutes: float = 60.0
    decay: float = 0.8
    rate: float = 0.008
    """Of the matrices; embedding and gains take a fifth of it."""
    average: float = 0.995
    """Of the running mean of the weights, which is what is exported."""
    device: str = "cpu"


class Trainer:
    """Weights, their running mean, the optimiser and the number of the next step."""

    def __init__(
        self, shape: Shape, run: Run, fuse: Callable[..., Any] | None = None, peers: Peers | None = None
    ) -> None:
        torch.manual_seed(run.seed)
        self.run, self.step, self.seen, self.peers = run, 0, 0, peers or Peers()
        self.warm_up = WARM_UP_STEPS
        self.student = Student(shape, fuse).to(run.device)
        s, held = self.student, LAYERS if shape.copying else 0
        blocks = ((s.qkv, 3), (s.out, 1), (s.up, 2), (s.down, 1))
        matrices = [(p, count) for stack, count in blocks for p in list(stack)[held:]]
        for stack in (s.gains, *(stack for stack, _ in blocks)):
            for parameter in list(stack)[:held]:
                parameter.requires_grad_(False)
        self.optimiser = Optimiser(matrices, [s.embedding, s.final_gain, *list(s.gains)[held:]], self.peers)
        self.mean = self._copies()

    def begin(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """What a student knows before it has read anything: how words are spelled, and how to copy."""
        start_embedding(self.student, tokenizer)
        if self.student.shape.copying:
            begin_copying(self.student)
        self.mean = self._copies()

    def begin_from(self, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
        """Takes over a trained student, at the place of the curriculum where all families begin."""
        take_over(self.student, folder, tokenizer)
        self.seen = ALL_FAMILIES
        same_pieces = pieces.load(folder).get_vocab() == tokenizer.get_vocab()
        self.warm_up = WARM_UP_STEPS if same_pieces else TAKE_OVER_STEPS
        for master, (matrix, _) in zip(self.optimiser.masters, self.optimiser.matrices, strict=True):
            master.copy_(matrix.detach())
        self.mean = self._copies()

    def _weights(self) -> dict[str, Tensor]:
        weights = dict(self.student.named_parameters())
        masters = dict(zip((id(p) for p, _ in self.optimiser.matrices), self.optimiser.masters, strict=True))
        return {name: masters.get(id(p), p) for name, p in weights.items()}

    def _copies(self) -> dict[str, Tensor]:
        return {name: tensor.detach().float().clone() for name, tensor in self._weights().items()}

    def train(self, row: Row, factor: float) -> float:
        """One step at `factor` of the full rate; the loss before it."""
        device = self.run.device
        loss = self.student(row.ids.to(device), row.lengths, row.learned.to(device))
        loss.backward()
        warm = min(1.0, (self.step + 1) / self.warm_up) * factor
        self.optimiser.step(self.run.rate * warm, self.run.rate / 5 * warm)
        if self.student.shape.copying:
            hold_constant(self.student)
        self.step += 1
        self.seen += len(row.ids) * self.peers.count
        with torch.no_grad():
            keep = min(self.run.average, self.step / (self.step + 10))
            for name, tensor in self._weights().items():
                self.mean[name].lerp_(tensor.float(), 1 - keep)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Written beside and moved into place: a checkpoint is whole or absent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "seen": self.seen,
            "warm_up": self.warm_up,
            "shape": asdict(self.student.shape),
            "student": self.student.state_dict(),
            "mean": self.mean,
            "optimiser": self.optimiser.state(),
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def restore(self, path: Path) -> None:
        state = torch.load(path, weights_only=True, map_location=self.run.device)
        self.step, self.seen = state["step"], state["seen"]
        self.warm_up = state.get("warm_up", WARM_UP_STEPS)
        self.student.load_state_dict(state["student"])
        self.mean = state["mean"]
        self.optimiser.restore(state["optimiser"])

    def export(self, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
        """The running mean of the weights as a Hugging Face directory in bfloat16."""
        pieces.save(tokenizer, folder)
        save_file(as_llama(self.mean), folder / "model.safetensors", metadata={"format": "pt"})
        config = llama_config(self.student.shape)
        generation = {
            "eos_token_id": config["eos_token_id"],
            "pad_token_id": config["pad_token_id"],
            "do_sample": False,
        }
        for name, content in (("config.json", config), ("generation_config.json", generation)):
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def shape_in(checkpoint: Path) -> Shape:
    return Shape(**torch.load(checkpoint, weights_only=True, map_location="cpu", mmap=True)["shape"])


def start_embedding(student: Student, tokenizer: PreTrainedTokenizerFast) -> None:
    """Tells the embedding what spelling shows: the same word with or without a space, and a number's value.

    Numbers get sines and cosines of a few periods, those of the decimal digits too: adding becomes easy.
    """
    width = student.shape.width
    draw = torch.Generator().manual_seed(7)
    spaced = torch.randn(width, generator=draw) / 32
    words: dict[str, Tensor] = {}
    waves = torch.randn(12, width, generator=draw) / 48
    periods = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    table = student.embedding.detach().cpu().clone()
    for piece, index in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        word = piece.removeprefix("\u0120")
        if word.isalpha() and len(word) > 1:
            words.setdefault(word, table[index].clone())
            table[index] = words[word] * 0.95 + table[index] * 0.3 + (spaced if word != piece else 0)
        elif piece.isascii() and piece.isdigit() and piece == str(int(piece)):
            turn = torch.tensor([int(piece) / period for period in periods]) * 2 * torch.pi
            table[index] = 0.6 * table[index] + torch.cat((turn.cos(), turn.sin())) @ waves
    with torch.no_grad():
        student.embedding.copy_(table)


def pace(run: Run, started: float, tokens: int) -> float:
    """Share of this call's budget that is used: 1 when it is over."""
    minutes = (time.monotonic() - started) / 60
    return max(minutes / run.minutes, tokens / run.tokens) if run.minutes and run.tokens else 1.0


def learn(trainer: Trainer, rows: Rows, checkpoint: Path, interrupted: Callable[[], bool]) -> None:
    """Trains until the budget is used or the run is interrupted, then saves; also saves every ten minutes."""
    run, peers, started = trainer.run, trainer.peers, time.monotonic()
    first, saved, shown, losses = trainer.seen, started, started, list[float]()
    source = ahead(rows, first + peers.rank * rows.row, run.row)
    while True:
        used = peers.agree(1.0 if interrupted() else pace(run, started, trainer.seen - first))
        if used >= 1:
            break
        losses.append(trainer.train(next(source), min(1.0, (1 - used) / run.decay) if run.decay else 1.0))
        now = time.monotonic()
        if peers.rank == 0 and (now - shown >= 10 or trainer.seen == first + run.row):
            rate, loss = len(losses) * run.row / (now - shown), statistics.fmean(losses)
            seen = f"{trainer.seen / 1e6:.2f} M tokens"
            print(f"step {trainer.step}  {seen}  {rate:.0f} tokens/s  loss {loss:.4f}", flush=True)
            losses, shown = [], now
        if peers.rank == 0 and now - saved >= CHECKPOINT_SECONDS:
            trainer.save(checkpoint)
            saved = now
    if peers.rank == 0:
        trainer.save(checkpoint)


def on_interrupt() -> Callable[[], bool]:
    """Ctrl-C (or a termination request) ends training after the step in hand, so that it can be saved."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked.is_set


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the bundled student.")
    parser.add_argument(
        "--minutes", type=float, default=Run.minutes, help="stop after so many minutes; 0 only exports"
    )
    parser.add_argument("--tokens", type=int, default=Run.tokens, help="stop after so many tokens")
    parser.add_argument(
        "--decay", type=float, default=Run.decay, help="share of this call with a falling rate"
    )
    parser.add_argument("--rate", type=float, default=Run.rate, help="of the matrices, at its highest")
    parser.add_argument("--seed", type=int, default=Run.seed)
    parser.add_argument("--row", type=int, default=Run.row, help="tokens in one step")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument(
        "--from", dest="start", type=Path, metavar="DIR", help="take over this student's weights and pieces"
    )
    parser.add_argument("--layers", type=int, help="with --from: as many layers, the new ones at the end")
    parser.add_argument("--checkpoint", type=Path, default=Path(".smallforge/student/checkpoint.pt"))
    parser.add_argument("--export", type=Path, help="write the model directory here at the end")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, default=1, help="on a CPU: one for each core is fastest")
    parser.add_argument("--compile", action="store_true", help="fuse elementwise work with torch.compile")
    options = parser.parse_args(given)
    if options.layers is not None and options.start is None:
        parser.error("--layers needs --from: a fresh student has the layers that it is meant to have")
    if options.start is not None and not (options.start / "config.json").is_file():
        parser.error(f"--from {str(options.start)!r} holds no student: there is no config.json in it")
    return options


def prepare(options: argparse.Namespace, tokenizer: PreTrainedTokenizerFast, peers: Peers) -> Trainer:
    names = ("seed", "row", "tokens", "minutes", "decay", "rate", "device")
    run = Run(**{name: getattr(options, name) for name in names})
    fuse = torch.compile if options.compile else None
    if options.resume:
        trainer = Trainer(shape_in(options.checkpoint), run, fuse, peers)
        trainer.restore(options.checkpoint)
    elif options.start:
        trainer = Trainer(shape_of(options.start, len(tokenizer), options.layers), run, fuse, peers)
        trainer.begin_from(options.start, tokenizer)
    else:
        trainer = Trainer(Shape(len(tokenizer), copying=True), run, fuse, peers)
        trainer.begin(tokenizer)
    return trainer


def follow(rank: int, count: int, port: int, options: argparse.Namespace) -> None:
    """One of the other processes: trains its part of each row and stops when the first one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tokenizer = pieces.load(options.checkpoint.parent / "tokenizer")
    trainer = prepare(options, tokenizer, join(rank, count, port))
    learn(trainer, Rows(tokenizer, options.seed, options.row // count), options.checkpoint, lambda: False)


def choose_pieces(start: Path | None, seed: int) -> PreTrainedTokenizerFast:
    """Those of the student taken over, else ones learned from the first families; and all new words."""
    corpus = Corpus()
    base = pieces.load(start) if start else pieces.build(corpus.sample(seed, 2000))
    return pieces.grow(base, corpus.more_words(seed, 800), pieces.lemmas())


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    # A resumed run keeps the pieces it began with, whatever the corpus has become.
    kept = options.checkpoint.parent / "tokenizer"
    if not options.resume:
        pieces.save(choose_pieces(options.start, options.seed), kept)
    tokenizer = pieces.load(kept)
    interrupted = on_interrupt()
    peers = start(options.processes, follow, options)
    trainer = prepare(options, tokenizer, peers)
    parameters = sum(p.numel() for p in trainer.student.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {len(tokenizer)} pieces, {options.device}", flush=True)
    rows = Rows(tokenizer, options.seed, options.row // peers.count)
    learn(trainer, rows, options.checkpoint, interrupted)
    if options.export:
        trainer.export(tokenizer, options.export)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
