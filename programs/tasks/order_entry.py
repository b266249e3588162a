"""A customer's message becomes one order line, written as this house writes it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from programs.program import Chat, Program, Sampling, Split
from programs.tasks.lexicon import GOODS, MONTHS, NAMES, Share, share_of

if TYPE_CHECKING:
    import dspy

INSTRUCTION = "Write the order line for the message."
SIZES: dict[Split, int] = {"train": 200, "dev": 100, "test": 300}
PARTS = ("quantity", "date", "amount", "account")
CHANCE = {"quantity": 0.6, "date": 0.3, "amount": 0.3, "account": 0.3}
FORMS = {
    "quantity": ("{quantity} pcs", "x{quantity}", "qty {quantity}"),
    "date": ("{month} {day}", "by {day} {month}", "on {day} {month}"),
    "amount": ("{amount} USD", "${amount}"),
    "account": ("{account}", "no {account}"),
}
SEPARATORS = ("; ", " | ", " / ")

# Messages and their lines as this house writes them, each part shown at least once.
HANDPICKED = (
    (
        "Good morning from Karen. I would like 12 lamps. We need them by 4 May. Charge account 7C.",
        "lamps; 12 pcs; by 4 May; no 7C",
    ),
    ("Hello, this is Henry. Please send bowls. The price is 38 dollars.", "bowls; $38"),
    (
        "Hello, this is Iris. Please send 40 stamps. Our account is 61B. They are for June 19. "
        "We can pay 52 dollars.",
        "stamps; 40 pcs; by 19 June; $52; no 61B",
    ),
)


@dataclass(frozen=True)
class Convention:
    """How a house writes each part: an index into `FORMS`, and what stands between two parts."""

    quantity: int = 0
    date: int = 0
    amount: int = 0
    account: int = 0
    separator: int = 0

    @classmethod
    def draw(cls, rng: random.Random) -> Convention:
        """One of all that there are, each as likely."""
        forms = {part: rng.randrange(len(written)) for part, written in FORMS.items()}
        return cls(**forms, separator=rng.randrange(len(SEPARATORS)))


# Shares its quantities and separator with the plainest convention, nothing else.
HOUSE = Convention(quantity=0, date=1, amount=1, account=1, separator=0)


@dataclass(frozen=True)
class Order:
    message: str
    goods: str
    parts: tuple[str, ...]
    """The optional parts that the message mentions, in the order of `PARTS`."""
    values: tuple[tuple[str, str], ...]

    def line(self, convention: Convention) -> str:
        written = [FORMS[part][getattr(convention, part)].format(**dict(self.values)) for part in self.parts]
        return SEPARATORS[convention.separator].join([self.goods, *written])


def draw(rng: random.Random) -> Order:
    """An order with at least one optional part."""
    parts: tuple[str, ...] = ()
    while not parts:
        parts = tuple(part for part in PARTS if rng.random() < CHANCE[part])
    values = {
        "quantity": str(rng.randint(2, 60)),
        "day": str(rng.randint(1, 28)),
        "month": rng.choice(MONTHS),
        "amount": str(rng.randint(5, 99)),
        "account": f"{rng.randint(1, 99)}{rng.choice('ABCDEFGH')}",
    }
    goods = rng.choice(GOODS)
    wanted = f"{values['quantity']} {goods}" if "quantity" in parts else goods
    sentences = {
        "date": rng.choice(("We need them by {day} {month}.", "They are for {month} {day}.")),
        "amount": rng.choice(("We can pay {amount} dollars.", "The price is {amount} dollars.")),
        "account": rng.choice(("Our account is {account}.", "Charge account {account}.")),
    }
    rest = [sentences[part].format(**values) for part in parts if part != "quantity"]
    rng.shuffle(rest)
    greeting = rng.choice(("Hello, this is {name}.", "Good morning from {name}.")).format(
        name=rng.choice(NAMES)
    )
    request = rng.choice(("Please send {wanted}.", "I would like {wanted}.")).format(wanted=wanted)
    return Order(" ".join([greeting, request, *rest]), goods, parts, tuple(values.items()))


def draw_from(rng: random.Random, share: Share) -> Order:
    while share_of((order := draw(rng)).message) != share:
        pass
    return order


def make_module() -> dspy.Module:
    import dspy

    return dspy.Predict(dspy.Signature("message: str -> line: str", INSTRUCTION))


def examples(split: Split) -> Sequence[dspy.Example]:
    """Messages and their lines in the house's convention, all different."""
    import dspy

    rng = random.Random(f"order_entry {split}")
    orders: dict[str, Order] = {}
    while len(orders) < SIZES[split]:
        order = draw_from(rng, split)
        orders[order.message] = order
    return [
        dspy.Example(message=o.message, line=o.line(HOUSE)).with_inputs("message") for o in orders.values()
    ]


def handpicked() -> Sequence[dspy.Example]:
    """Messages with their lines in the house's convention, none of them in a split."""
    import dspy

    return [dspy.Example(message=message, line=line).with_inputs("message") for message, line in HANDPICKED]


def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    """1 when the line is the house's line; runs of spaces count as one."""
    return float(" ".join(str(prediction.line).split()) == example.line)


program = Program(
    name="order_entry",
    make_module=make_module,
    examples=examples,
    metric=metric,
    chat=Chat(user="message", answer="line"),
    sampling=Sampling(temperature=0.0, max_tokens=64),
    description="A customer's message becomes an order line in the house's format.",
    handpicked=handpicked,
)
