"""How the student answers a lesson: whole answers that teach, and short ones. Knows nothing of chats.

Each is made of what so small a student can copy in one go: the context or the query, from beginning to end.
"""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """Text around copied pieces."""

    text: str

    def fill(self, said: Said) -> str:
        return self.text.format(**said._asdict())


class Said(NamedTuple):
    """What a reply copies of the lesson: the query, the subject, the whole context and its first sentence."""

    query: str
    subject: str
    told: str
    first: str


FULL = (
    Frame(
        "Good question. Remember what we know: {told} Can you say in your own words what that has to do "
        "with it, and think of an example?"
    ),
    Frame('First look at what we know. {told} Now read your own words again: "{query}" What would you say?'),
    Frame(
        "Let's go step by step. The first step is to read this: {told} The next step is yours. "
        "Try to put it together: what do you conclude?"
    ),
    Frame(
        "Imagine that you explain it to a friend. You can say: {told} What might your friend still want "
        "to know, and why do you think so?"
    ),
    Frame(
        "Look at this first: {told} Then think about why it matters here. Can you give me an example "
        "of your own?"
    ),
    Frame(
        "Let's take it in steps.\n1. Read this slowly: {told}\n2. Say it in words of your own.\n"
        "3. Try to find an example. What comes next?"
    ),
    Frame(
        'Suppose that a friend says: "{query}" You can answer: {told} '
        "Which example would you show to your friend, and why?"
    ),
    Frame(
        "Read this slowly, because it helps: {told} Then ask yourself what is new to you in it. "
        "How does it help you, and why do you think so?"
    ),
    Frame(
        "Let's do some {subject} together. Notice this first: {told} "
        "Now think about what follows from it. What would be different without it?"
    ),
    Frame(
        "I like that you ask, because it makes us think. {told} "
        "Try to say it in one short sentence of your own. Can you do it?"
    ),
    Frame(
        "Let's look closely, and then imagine a picture of it: {told} "
        "Draw what you imagine, because a picture helps. What do you see in it?"
    ),
    Frame(
        'Here is a hint to think about: {told} Try it again then: "{query}" Can you answer it now, and why?'
    ),
)
"""Answers over two thirds of whose teaching score the frame alone earns."""

UNTOLD = (
    Frame(
        'Good question: "{query}" First think of an example that you know. Then say what you '
        "notice about it. What could you try next?"
    ),
    Frame(
        'Let\'s think about it step by step. Read your own words again: "{query}" First say what you know '
        "about it. Then find the part that is still hard. Which one is it?"
    ),
    Frame(
        'Imagine that a friend says: "{query}" First you would ask what the words mean. Then you would look '
        "for an example together. Which example would you choose, and why?"
    ),
    Frame(
        'Let\'s do some {subject} together. You say: "{query}" Try to draw a picture of it first, '
        "because a picture helps to think. What do you see in it?"
    ),
)
"""Whole answers to a lesson without a context."""

PLAIN, BOTH, ASK = Frame("{first}"), Frame("{told}"), Frame('You ask: "{query}" What do you know about it?')
SHORT = (PLAIN, BOTH, ASK)
SHORT_UNTOLD = (Frame("Please look it up."), Frame("Please look it up. Then ask again."), ASK)
