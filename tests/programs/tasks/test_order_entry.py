from __future__ import annotations

import random
from dataclasses import replace

import dspy

from programs.program import SPLITS
from programs.tasks import order_entry
from programs.tasks.lexicon import share_of
from programs.tasks.order_entry import FORMS, HOUSE, PARTS, Convention, Order

FULL = Order(
    message="",
    goods="lamps",
    parts=PARTS,
    values=(
        ("quantity", "12"),
        ("day", "4"),
        ("month", "May"),
        ("amount", "30"),
        ("account", "7K"),
    ),
)


def test_each_convention_writes_the_same_order_its_own_way() -> None:
    assert FULL.line(Convention()) == "lamps; 12 pcs; May 4; 30 USD; 7K"
    assert FULL.line(HOUSE) == "lamps; 12 pcs; by 4 May; $30; no 7K"
    assert FULL.line(Convention(1, 2, 0, 1, 1)) == "lamps | x12 | on 4 May | 30 USD | no 7K"


def test_all_conventions_write_different_lines() -> None:
    rng = random.Random(0)
    conventions = {order_entry.Convention.draw(rng) for _ in range(3000)}
    assert len(conventions) == len({FULL.line(convention) for convention in conventions}) == 108


def test_a_part_left_out_of_the_message_is_left_out_of_the_line() -> None:
    assert replace(FULL, parts=("amount",)).line(HOUSE) == "lamps; $30"


def test_every_message_says_what_its_line_says() -> None:
    rng = random.Random(0)
    for _ in range(500):
        order = order_entry.draw(rng)
        values = dict(order.values)
        told = {"quantity": "quantity", "date": "day", "amount": "amount", "account": "account"}
        assert order.goods in order.message and order.parts
        assert all(values[told[part]] in order.message for part in order.parts)
        assert ("dollars" in order.message) == ("amount" in order.parts)
        assert ("account" in order.message) == ("account" in order.parts)


def test_every_form_is_distinct_for_its_part() -> None:
    assert set(FORMS) == set(PARTS)
    assert all(len(set(forms)) == len(forms) for forms in FORMS.values())


def test_splits_have_their_sizes_and_share_no_message() -> None:
    messages = {split: [e.message for e in order_entry.examples(split)] for split in SPLITS}
    assert {split: len(set(of)) for split, of in messages.items()} == order_entry.SIZES
    assert all(share_of(message) == split for split, of in messages.items() for message in of)


def test_examples_are_the_same_each_time() -> None:
    first, second = (order_entry.examples("dev") for _ in range(2))
    assert [dict(e) for e in first] == [dict(e) for e in second]


def test_the_metric_wants_the_exact_line_but_forgives_spaces() -> None:
    example = dspy.Example(message="", line="lamps; $30")
    assert order_entry.metric(example, dspy.Prediction(line=" lamps;  $30\n")) == 1.0
    assert order_entry.metric(example, dspy.Prediction(line="lamps; 30 USD")) == 0.0
