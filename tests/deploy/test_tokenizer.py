from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from deploy.student import tokenizer as pieces
from deploy.student.corpus import Corpus
from programs.tasks import lexicon


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return pieces.build(Corpus().sample(0, 200))


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "  two\n\n\nlines\t",
        "é ü ß 漢字 🙂 \u2028",
        "\x00\x7f\ufffd",
        "[[ ## answer ## ]]\n[[ ##",
        "1000 - 7=993",
    ],
)
def test_any_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_byte_has_a_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "".join(map(chr, range(0x80, 0x800, 7)))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_words_of_the_tasks_and_small_numbers_are_single_pieces(tokenizer: PreTrainedTokenizerFast) -> None:
    words = [*lexicon.NAMES, *lexicon.GOODS, *lexicon.PLACES, *lexicon.MONTHS]
    assert all(len(tokenizer.encode(form)) == 1 for word in words for form in (word, f" {word}"))
    assert all(len(tokenizer.encode(str(number))) == 1 for number in range(100))


def test_field_markers_are_single_pieces_in_any_text(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer.encode("[[ ## reasoning ## ]]\n")) == 1
    assert len(tokenizer.encode("say [[ ## answer ## ]] now")) == len(tokenizer.encode("say ")) + 2


def test_building_twice_gives_the_same_pieces(tokenizer: PreTrainedTokenizerFast) -> None:
    again = pieces.build(Corpus().sample(0, 200))
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_chat_template_puts_turns_between_their_marks(tokenizer: PreTrainedTokenizerFast) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>Be brief.<|end|><|user|>Hi\n<|end|><|assistant|>"
