"""What hypothesis makes bad inputs of: any JSON, chats that are almost right, headers, damaged cases."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.security.fuzz import CORPUS

TEXTS = st.sampled_from(
    [
        "",
        "q",
        "[[ ## answer ## ]]",
        "[[ ## completed ## ]]\n",
        "<<CUSTOM-TYPE-START-IDENTIFIER>>",
        "\x00",
        "é\u2028",
    ]
) | st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "x"]),
            "content": TEXTS
            | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}), max_size=2),
        },
        optional={"tool_calls": VALUES, "tool_call_id": VALUES, "name": VALUES, "refusal": VALUES},
    )
    | VALUES,
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["quiz", "counting", "reading"]), "messages": MESSAGES | VALUES},
    optional={
        name: VALUES
        for name in (
            "inputs", "stream", "n", "stop", "max_tokens", "temperature", "seed", "tools", "tool_choice",
            "response_format", "stream_options", "metadata", "input", "text", "instructions", "cache_salt",
        )
    },
)  # fmt: skip

HEADERS = (
    "x-smallforge-trace", "x-smallforge-session", "x-smallforge-deadline-ms", "x-smallforge-max-usd",
    "traceparent", "cache-control", "authorization", "content-type", "range", "origin", "accept",
)  # fmt: skip
HEADER_VALUES = (st.text(max_size=30).map(str.strip) | st.integers().map(str)).map(
    lambda value: value.replace("\r", "").replace("\n", "").replace("\0", "").encode(errors="replace")
)


def cases_of(target: str) -> list[bytes]:
    """What is kept in the corpus of one target."""
    return [case.read_bytes() for case in sorted((CORPUS / target).iterdir())]


@st.composite
def damaged(draw: st.DrawFn, cases: Sequence[bytes]) -> bytes:
    """A case of which a piece is missing, or replaced by other bytes."""
    whole = draw(st.sampled_from(cases))
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 20)))
    return whole[:start] + draw(st.binary(max_size=12)) + whole[end:]
