from __future__ import annotations

import time
from fractions import Fraction

import pytest

from programs.numerals import read_number

HALF = Fraction(1, 2)


def all_read_as(number: Fraction | int | None, *texts: object) -> None:
    assert {text: read_number(text) for text in texts} == dict.fromkeys(texts, number)


def test_a_number_is_read_through_units_and_full_stops() -> None:
    all_read_as(18, "18", " 18\n", "18.", "18.0.", "18 dollars.", "18km", "It is 18!", "**18**", "18th", 18)
    all_read_as(25, "25 m²", "25 m2", "25 cm^2", "25 km³ of water", "25 g of H2O or 25 m2")
    all_read_as(5, "x = 5", "x=5.", "3, 4, 5", "2 + 3 = 5", "2x5 y 5", "from 4 to 5", "4-5", "4–5", "(5)")
    all_read_as(Fraction(5, 2), 2.5, "2.5", "2.50 m", "Total: 2.5.")


def test_the_last_number_counts_where_none_is_marked() -> None:
    all_read_as(7, "9 - 2 = 7", "First 3 x 3 = 9.\nThen 9 - 2 = 7 are left.", "Of 10 apples, 7.")


def test_commas_and_other_marks_part_thousands() -> None:
    all_read_as(1200, "1,200", "1,200.", "1,200,", "$1,200.00 in all", "1'200", "1’200", "1_200", "1 200 m")
    all_read_as(1200, r"1{,}200", r"1\,200", r"1,\!200", "1\u00a0200", "1\u202f200 km")
    all_read_as(12_345_678, "12,345,678", "12 345 678")
    all_read_as(300, "10 20 300", "1, 300", "2 and 300")


def test_percent_and_currency_signs_stand_beside_a_number() -> None:
    all_read_as(
        50, "50%", "50 %", r"50\%", "50%.", "$50", r"\$50", "€ 50", "50€", "£50", "USD50", "Rs.50", "₹50"
    )
    all_read_as(Fraction(7, 2), "$3.50", "3.50 $", "CHF 3.50")


def test_fractions_and_mixed_numbers_are_exact() -> None:
    all_read_as(HALF, "1/2", "1 / 2", "½", "1⁄2", "0.5", ".5", "-1/2 + 1 = 1/2", r"\frac{1}{2}", r"\dfrac12")
    all_read_as(
        Fraction(5, 2), "2 1/2", "2½", "2 1/2 cups", r"2\frac{1}{2}", r"\boxed{2 \frac{1}{2}}", "7.5/3"
    )
    all_read_as(None, "3/0", "1 1/0")


def test_a_minus_is_a_sign_where_nothing_is_taken_away() -> None:
    all_read_as(-5, "-5", "−5", "–5", "- 5", "x = -5.", "x = - 5", "$-5", "-$5", r"-\$5", "(-5)", "is -5")
    all_read_as(-HALF, "-1/2", "-.5", r"-\frac{1}{2}", r"\frac{-1}{2}", r"is $-\frac{1}{2}$")
    all_read_as(4, "10-4", "10 - 4", "x - 4", "6%-4%", "Left:\n- 4 apples", "f(x)-4")


def test_scientific_notation_is_read_in_every_spelling() -> None:
    all_read_as(
        1500, "1.5e3", "1.5E+3", "1.5 × 10^3", "1.5 x 10^3", "1.5*10**3", r"1.5 \times 10^{3}", "1.5·10³"
    )
    all_read_as(1000, "10^3", "10³", "1e3")
    all_read_as(Fraction(3, 200), "1.5e-2", "1.5 × 10⁻²", "1.5 × 10^-2")


def test_digits_of_any_script_are_digits() -> None:
    all_read_as(12, "١٢", "１２", "१२", "①②", "共12个")
    all_read_as(1200, "١٬٢٠٠", "１，２００")
    all_read_as(None, "十二", "XII")


def test_the_number_after_the_published_mark_counts() -> None:
    all_read_as(
        7, "#### 7", "5 to 12 #### 7 apples", "#### **7**", "#### $7.", "#### Answer: 7", "#### 7 ####"
    )
    all_read_as(-7, "3\n#### -7")
    all_read_as(18, "2 x 9 = 18\n#### 18\n\nQuestion: Ann has 5 pens.", "#### 18", "18 ####", "18\n#### ")
    all_read_as(12, "#### Step 2\nNow 3 x 4 = 12", "#### 2. Multiply\n3 x 4 = 12")


def test_a_boxed_number_counts() -> None:
    all_read_as(42, r"\boxed{42}", r"$\boxed{42}$ after 3 steps", r"\boxed{x = 42}", r"\boxed{\text{42 km}}")
    all_read_as(42, r"\boxed{1} then \boxed{42\text{ km}} of 50", r"\boxed{none}, so 42", r"\boxed {42}")
    all_read_as(HALF, r"\boxed{\frac{1}{2}}", r"\boxed{\dfrac{1}{2}} of 3")


def test_what_holds_no_number_has_none() -> None:
    all_read_as(None, "", " ", "none", "-", "+++", "####", r"\boxed{}", "nan", "inf", None, True, False)
    all_read_as(None, "9" * 5_000, "1/" + "9" * 5_000, float("nan"), float("inf"))
    assert read_number(10**5_000) == 10**5_000


@pytest.mark.parametrize(
    "unit",
    [
        "-", "+", "1", "1,", "1,000", ",000", "1/", " ", "1 ", "1.", "#", "####1", "1e", "10^", "½", "²",
        "- ", "{", "{}", r"\frac{", r"\frac{1}{", r"\frac1", r"\boxed{{", r"\boxed{",
        "\ufdfa", "\0", "\n", "1 000",
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_at_once(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    for around in (text, f"1{text}1", f"#### {text}", f"\\boxed{{{text}}}"):
        read_number(around)
    assert time.process_time() - start < 2


def test_the_end_of_a_long_text_is_what_is_read() -> None:
    assert read_number("7 apples. " * 100_000 + "So 12.") == 12
