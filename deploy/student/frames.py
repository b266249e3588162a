"""How the student answers a lesson: whole answers that teach, and short ones. Knows nothing of chats.

Each is made of what the student can copy: two sentences of the context, what was asked, a key word.
"""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """Text around copied pieces; `second` is left out where the context has one sentence."""

    start: str
    second: str = ""
    end: str = ""

    def fill(self, said: Said) -> str:
        text = self.start + (self.second if said.second else "") + self.end
        return text.format(**said._asdict())


class Said(NamedTuple):
    """What a reply copies: of the lesson the query, a key word of it, the subject, and two sentences."""

    query: str
    key: str
    subject: str
    first: str
    second: str


FULL = (
    Frame(
        "Good question. Remember: {first}",
        " Also notice: {second}",
        ' Can you say in your own words what "{key}" has to do with it?',
    ),
    Frame(
        'First look at the word "{key}". {first}',
        " Then think about this: {second}",
        ' Now read your own words again: "{query}" What would you say?',
    ),
    Frame(
        "Let's go step by step. The first step: {first}",
        " The next step: {second}",
        ' Try to put it together now. What do you conclude about "{key}"?',
    ),
    Frame(
        "Imagine that you explain it to a friend. First you say: {first}",
        " Then you add: {second}",
        ' What might your friend still want to know about "{key}"?',
    ),
    Frame(
        "Look at what we know. {first}",
        " Remember this too: {second}",
        ' That is why the word "{key}" matters here. Can you give me an example of your own?',
    ),
    Frame(
        "Let's take it in steps.\n1. {first}",
        "\n2. {second}",
        '\nNow try it yourself and think about "{key}". What comes next?',
    ),
    Frame(
        'Suppose that a friend says: "{query}" First you can answer: {first}',
        " Then you can say: {second}",
        " Which example would you show to your friend, and why?",
    ),
    Frame(
        "Read this slowly, because it helps: {first}",
        " Then read on: {second}",
        ' How does it help you with "{key}", and why do you think so?',
    ),
    Frame(
        "Let's do some {subject} together. Notice this first: {first}",
        " And this: {second}",
        ' Now think about "{key}". What would be different without it?',
    ),
    Frame(
        "I like that you ask, because it makes us think. {first}",
        " Remember also: {second}",
        ' Try to say it in one short sentence with "{key}". Can you do it?',
    ),
    Frame(
        'You ask about "{key}", so let\'s look closely. {first}',
        " For example, you can use this: {second}",
        " Imagine it in a picture. What do you see in it?",
    ),
    Frame(
        "Here is a hint to think about: {first}",
        " And here is the next one: {second}",
        ' Try it with your own words: "{query}" Can you answer it now?',
    ),
)
"""Answers over two thirds of whose teaching score the frame alone earns."""

UNTOLD = (
    Frame(
        'Good question: "{query}" First think of an example of "{key}" that you know. Then say what you '
        "notice about it. What could you try next?"
    ),
    Frame(
        'Let\'s think about it step by step. First say what you know about "{key}". Then read your own words '
        'again: "{query}" Which part of them is still hard?'
    ),
    Frame(
        'Imagine that a friend says: "{query}" First you would ask what "{key}" means. Then you would look '
        "for an example together. Which example would you choose, and why?"
    ),
    Frame(
        'Let\'s do some {subject} together. You say: "{query}" Try to draw a picture of "{key}" first, '
        "because a picture helps to think. What do you see in it?"
    ),
)
"""Whole answers to a lesson without a context."""

PLAIN, BOTH, ASK = Frame("{first}"), Frame("{first}", " {second}"), Frame('What do you know about "{key}"?')
SHORT = (PLAIN, BOTH, ASK)
SHORT_UNTOLD = (Frame('Please look up "{key}".'), Frame('Please look up "{key}". Then ask again.'), ASK)
