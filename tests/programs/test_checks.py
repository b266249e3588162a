from __future__ import annotations

from time import perf_counter

import pytest

from programs.checks import (
    LONGEST,
    LONGEST_MATCHED,
    Check,
    broken,
    broken_by_label,
    declared,
    is_one_of,
    matches,
    mentions_one_of,
    must_mention,
    refuse_unknown_fields,
    satisfies,
)
from programs.errors import LoweringImpossible, ProgramInvalid


def reason(check: Check, answer: object, **inputs: object) -> str | None:
    return check.problem(inputs, {"answer": answer})


@pytest.mark.parametrize(
    ("term", "text", "holds"),
    [
        ("refund", "Your Refund is due.", True), ("art", "the party", False), ("C++", "in C++, yes", True),
        ("500", "about 1,500 of them", False), ("1,500", "about 1,500.", True), ("?", "Why?", True),
        ("New York", "new\n york", True), ("東京", "私は東京に住む", True), ("straße", "STRASSE", True),
        ("3", "3.5 litres", False), ("ABC", "the ＡＢＣ of it", True),
    ],
)  # fmt: skip
def test_a_term_is_mentioned_as_whole_words_in_any_case(term: str, text: str, holds: bool) -> None:
    assert (reason(must_mention("answer", term), text) is None) == holds


def test_what_must_be_mentioned_is_named_and_what_is_there_is_not() -> None:
    assert reason(must_mention("answer", "tax", "refund"), "a refund") == "'answer' must mention 'tax'"


def test_an_inputs_value_must_be_mentioned() -> None:
    check = must_mention("answer", of="city")
    assert reason(check, "It rains in Oslo.", city="Oslo") is None
    assert reason(check, "It rains.", city="Oslo") == "'answer' must mention 'Oslo'"
    assert reason(check, "It rains.", city=None) is None


def test_every_item_of_an_inputs_list_must_be_mentioned() -> None:
    check = must_mention("answer", of="names")
    assert reason(check, "Ann came.", names=["Ann", "Bo"]) == "'answer' must mention 'Bo'"


def test_a_choice_is_exact_and_true_is_not_one() -> None:
    assert reason(is_one_of("answer", "a", "b"), "a") is None
    assert reason(is_one_of("answer", "a", "b"), "A") == "'answer' must be one of 'a', 'b'"
    assert reason(is_one_of("answer", 1, 2), True) is not None
    assert reason(is_one_of("answer", "a", "b"), ["b", "a"]) is None
    assert reason(is_one_of("answer", "a", "b"), ["b", "c"]) is not None


def test_a_pattern_covers_the_whole_text() -> None:
    check = matches("answer", r"[A-Z]{2}-\d+")
    assert reason(check, "AB-12") is None
    assert reason(check, "AB-12\n") is not None
    assert reason(check, "see AB-12") == "'answer' must match '[A-Z]{2}-\\\\d+' as a whole"
    assert reason(matches("answer", r"\d+"), 17) is None


def test_alternatives_of_a_pattern_are_both_covered_whole() -> None:
    assert reason(matches("answer", "yes|no"), "yes, sure") is not None


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", r"(a)\1", "a)|(b", "[", "(?x)a # c", "a" * 1001, "(a{999}){999}"]
)
def test_a_pattern_that_cannot_be_matched_in_linear_time_or_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ProgramInvalid, match="pattern"):
        matches("answer", pattern)


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(a|aa)*b", r".*a.*a.*a.*b", r"(\w+\s?)*!"])
def test_no_pattern_takes_long_whatever_the_text(pattern: str) -> None:
    check = matches("answer", pattern)
    begun = perf_counter()
    assert reason(check, "a" * LONGEST_MATCHED) == f"'answer' must match {pattern!r} as a whole"
    assert perf_counter() - begun < 1


@pytest.mark.parametrize("check", [must_mention("answer", "a"), matches("answer", "a*")])
def test_a_text_too_long_to_check_does_not_pass(check: Check) -> None:
    assert "longer than" in (reason(check, "a " * LONGEST) or "")


def test_a_huge_input_to_mention_is_refused_quickly() -> None:
    begun = perf_counter()
    assert reason(must_mention("answer", of="q"), "x", q="1.1," * 1_000_000) is not None
    assert perf_counter() - begun < 1


@pytest.mark.parametrize(
    "check", [must_mention("answer", "a"), is_one_of("answer", "a"), matches("answer", ".*")]
)
def test_an_output_that_is_missing_breaks_every_check(check: Check) -> None:
    assert check.problem({}, {}) is not None


def test_a_reason_never_quotes_the_answer() -> None:
    checks: list[Check] = [must_mention("answer", "a"), is_one_of("answer", "a"), matches("answer", "a")]
    found = broken(checks, {}, {"answer": "secret"})
    assert [(item.check, item.field) for item in found] == [(check, "answer") for check in checks]
    assert "secret" not in "".join(item.reason for item in found)


def test_a_function_sees_inputs_and_outputs_and_is_no_data() -> None:
    check = satisfies("shorter than the question", lambda i, o: len(o["answer"]) < len(i["question"]))
    assert reason(check, "no", question="really?") is None
    assert reason(check, "a long answer", question="?") == "it must satisfy 'shorter than the question'"
    with pytest.raises(LoweringImpossible, match="'shorter than the question' is a function"):
        declared([check])


@pytest.mark.parametrize(
    ("field", "terms", "of"), [("answer", (), None), ("answer", ("",), None), ("answer", (" ",), None)]
)
def test_a_check_that_could_not_fail_is_refused(field: str, terms: tuple[str, ...], of: str | None) -> None:
    with pytest.raises(ProgramInvalid, match="must_mention"):
        must_mention(field, *terms, of=of)


def test_choices_must_be_named() -> None:
    with pytest.raises(ProgramInvalid, match="no choices"):
        is_one_of("answer")


def test_a_check_of_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProgramInvalid, match="output 'anwser': the outputs are answer"):
        refuse_unknown_fields([must_mention("anwser", "a")], ["question"], ["answer"])
    with pytest.raises(ProgramInvalid, match="input 'qestion': the inputs are question"):
        refuse_unknown_fields([must_mention("answer", of="qestion")], ["question"], ["answer"])


@pytest.mark.parametrize(
    ("label", "refused"), [("a", False), ("c", True), (["c", "a"], False), (["c", "d"], True), (None, False)]
)
def test_a_label_is_refused_where_none_of_its_variants_passes(label: object, refused: bool) -> None:
    checks: list[Check] = [
        is_one_of("answer", "a", "b"),
        satisfies("never asked", lambda inputs, outputs: False),
    ]
    assert (broken_by_label(checks, {"answer": label}) is not None) == refused


def test_a_label_must_mention_its_own_rows_input() -> None:
    check = must_mention("answer", of="city")
    assert broken_by_label([check], {"answer": "Rain in Oslo", "city": "Oslo"}) is None
    assert broken_by_label([check], {"answer": "Rain", "city": "Oslo"}) == "'answer' must mention 'Oslo'"


def test_one_of_several_terms_is_enough_and_only_where_the_inputs_call_for_it() -> None:
    check = mentions_one_of(
        "answer", "elohim", "H0430", when={"question": ["word for God"], "context": ["H0430"]}
    )
    asked = {"question": "What is the word for God?", "context": "H0430 God"}
    assert check.problem(asked, {"answer": "Elohim!"}) is None
    assert check.problem(asked, {"answer": "theos"}) == "'answer' must mention one of 'elohim', 'H0430'"
    assert check.problem(asked | {"context": ""}, {"answer": "theos"}) is None
    assert check.problem({}, {"answer": "theos"}) is None
    assert check.problem(asked, {"answer": "elohim " * 20_000}) is not None


def test_a_check_of_several_terms_is_refused_where_it_could_not_look() -> None:
    with pytest.raises(ProgramInvalid, match="name words"):
        mentions_one_of("answer")
    with pytest.raises(ProgramInvalid, match="name words"):
        mentions_one_of("answer", "x", when={"question": []})
    with pytest.raises(ProgramInvalid, match="the input 'nowhere'"):
        refuse_unknown_fields([mentions_one_of("a", "x", when={"nowhere": ["x"]})], ["q"], ["a"])
