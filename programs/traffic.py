"""What a gateway keeps of its requests, as its database holds it: a gateway writes it, builds learn from it.

    traffic     one row for each request of a program
    feedback    what was said later of a response; of each kind the last word

Values of programs are JSON in columns of text: the same in every database, and read only as a whole. Times
are seconds since 1970. Needs SQLAlchemy; the tables are made by the gateway's migrations.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

FeedbackKind = Literal["score", "label", "correction"]
FEEDBACK_KINDS: tuple[FeedbackKind, ...] = ("score", "label", "correction")
APPROVED, REJECTED = "approved", "rejected"
"""Labels that say of an answer what a score of 1, or of 0, says."""

TABLES = MetaData()

traffic = Table(
    "traffic",
    TABLES,
    Column("response_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("key_id", Text),  # whose request it was; never the key itself
    Column("model", Text, nullable=False),  # the name that was asked for
    Column("program", Text, nullable=False),
    Column("release", Text, nullable=False),  # program@version
    Column("answer", Text, nullable=False),  # the output that is the answer
    Column("reasoning", Text, nullable=False),  # a list: the outputs that lead to it
    Column("inputs", Text),  # as the program takes them; null where the request was refused before
    Column("outputs", Text, nullable=False),  # a list: those of each choice
    Column("complete", Boolean, nullable=False),  # whether all choices are there and none was cut
    Column("steps", Text),  # a list, where the request was traced
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("usd", Double),
    Column("seconds", Double, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
)

feedback = Table(
    "feedback",
    TABLES,
    Column("response_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("key_id", Text),
    Column("value", Text, nullable=False),  # a number, a text, or outputs by name
    Column("comment", Text),  # a text
)
