"""The student's tokenizer: byte-level BPE whose pieces suit prompts in DSPy's chat format.

Knows nothing of the model. Words of the tasks, numbers below one hundred and the format's fixed phrases are
single pieces, so that a tiny model spends its few tokens on what differs; other text falls back to bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from programs.scripture import SAMPLE, open_tables
from programs.tasks import lexicon

END, PAD, SYSTEM, USER, ASSISTANT = "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"
ROLES = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
SPECIALS = (END, PAD, SYSTEM, USER, ASSISTANT)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
# The splitting rule that Llama 3 made common; other runtimes have it built in.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FIELDS = (
    *("question", "reasoning", "answer", "message", "line", "context", "history", "label"),
    *("titles", "query", "found", "response", "grade", "subject", "completed"),
)
PHRASES = (
    "Your input fields are:\n",
    "\nYour output fields are:\n",
    "All interactions will be structured in the following way, with the appropriate values filled in.\n\n",
    "In adhering to this structure, your objective is: \n        ",
    "\n\nRespond with the corresponding output fields, starting with the field `",
    "`, then `",
    ", and then ending with the marker for `[[ ## completed ## ]]`.",
    " (must be formatted as a valid Python int)",
    "        # note: the value you produce must be a single int value",
    "This is an example of the task, though some input or output fields are not supplied.\n\n",
    "Not supplied for this particular example. ",
    "` (str):",
    "` (int):",
    "1. `",
    " \n2. `",
    " \n3. `",
    "\n2. `",
    "\n3. `",
    "\n4. `",
    "` (Union[str, NoneType]):",
    " + ",
    " - ",
    " x ",
    " = ",
)
PIECES = 2048
MOST_PIECES = 5000
LAST_LATIN = 0x24F
LEAST_SEEN = 4  # a word must be met so often in the sample to become one piece


def phrases() -> list[str]:
    """Fixed phrases and field markers: each one piece wherever it stands, in a user's text too."""
    markers = [f"[[ ## {name} ## ]]" for name in FIELDS]
    holes = [f"{{{name}}}" for name in FIELDS[:-1]]
    return [*PHRASES, *holes, *markers, *(f"{m}\n" for m in markers), *(f"\n\n{m}\n" for m in markers)]


def build(sample: Iterator[str]) -> PreTrainedTokenizerFast:
    """Learns the merges from the word list, the tasks' words and a sample of the training text."""
    bpe = Tokenizer(models.BPE(ignore_merges=True))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, initial_alphabet=alphabet, special_tokens=list(SPECIALS), show_progress=False
    )
    bpe.train_from_iterator(_text(sample), trainer)
    return _wrapped(bpe, phrases())


def grow(
    base: PreTrainedTokenizerFast, sample: Iterable[str], whole: Iterable[str]
) -> PreTrainedTokenizerFast:
    """The same tokenizer with a piece for each frequent word of the sample and each text of `whole`.

    Text without such words keeps its tokens, but not their numbers.
    """
    state = json.loads(base.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    fixed = dict.fromkeys([*phrases(), *whole])
    added = {entry["content"] for entry in state["added_tokens"] if not entry["special"]}
    counts: Counter[str] = Counter()
    splitter = base.backend_tokenizer.pre_tokenizer
    for text in sample:
        counts.update(word for word, _ in splitter.pre_tokenize_str(text))
    words = [
        word
        for word, seen in counts.most_common()
        if seen >= LEAST_SEEN and word not in vocabulary and _is_worth_a_piece(base, word)
    ]
    for word in words[: max(0, MOST_PIECES - len(vocabulary))]:
        vocabulary[word] = len(vocabulary)
    # Pieces found before the splitting come last, whatever number they had.
    state["added_tokens"] = [entry for entry in state["added_tokens"] if entry["special"]]
    return _wrapped(Tokenizer.from_str(json.dumps(state)), [*dict.fromkeys([*sorted(added), *fixed])])


def _is_worth_a_piece(base: PreTrainedTokenizerFast, word: str) -> bool:
    """No number, for those are drawn at random, and no part of a word that points take apart."""
    text = base.convert_tokens_to_string([word]).strip()
    return not text.isdigit() and all(ord(letter) <= LAST_LATIN for letter in text)


def _wrapped(bpe: Tokenizer, fixed: Sequence[str]) -> PreTrainedTokenizerFast:
    bpe.add_tokens([AddedToken(phrase, normalized=False, special=False) for phrase in fixed])
    wrapper: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrapper(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
    )
    return wrapped


def lemmas() -> list[str]:
    """The original words of the sample of scripture, which splitting would take apart at their points."""
    tables = open_tables(SAMPLE)
    found = {word.lemma for verse in tables for word in tables.words_of(verse)}
    return sorted(found)


def save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the two files that every runtime reads; the template stands inside the second."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 8192,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [SYSTEM, USER, ASSISTANT],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def load(folder: Path) -> PreTrainedTokenizerFast:
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def _text(sample: Iterator[str]) -> Iterator[str]:
    """What the merges are learned from; repetition decides what becomes one piece."""
    named = (*lexicon.NAMES, *lexicon.GOODS, *lexicon.MONTHS, *lexicon.DAYS, *lexicon.THINGS)
    for word in (*named, *lexicon.PLACES, *lexicon.FOODS, *lexicon.COLOURS):
        yield f"{word} {word}\n" * 100
    yield from (f"{number}\n" * 100 for number in range(100))
    yield from (f"{name}\n" * 100 for name in FIELDS)
    words = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    yield from (f" {word} {word} {word}\n" for word in words)
    yield from sample
