from __future__ import annotations

from compiler.report.figures import contenders_of, figures_of

SUMMARY = {"mean": 0.7, "n": 40, "low": 0.6, "high": 0.8, "usd_per_answer": None, "parts": {"fact": 0.9}}
TEST = {"difference": 0.2, "low": 0.1, "high": 0.3, "p": 0.01}


def test_the_main_figures_have_plain_names_and_contenders_their_own() -> None:
    others = {"name": "manual few-shot", "summary": SUMMARY, "against": TEST, "corrected_p": 0.02}
    figures = figures_of({"scores": {"after": SUMMARY, "difference": TEST}, "contenders": [others]})
    assert (figures["test_score"], figures["gain"], figures["p"]) == (0.7, 0.2, 0.01)
    assert figures["manual_few_shot/parts/fact"] == 0.9 and figures["manual_few_shot/p_corrected"] == 0.02
    assert "usd_per_answer" not in figures and "baseline_score" not in figures


def test_parts_have_names_that_mlflow_takes() -> None:
    parts = {"exact_match(answer, normalised)": 0.5, "fact (2)": 1.0, "a/../b": 0.0, "": 0.1, "x" * 300: 0.2}
    contender = {"name": "compiled", "summary": {"parts": parts}}
    named = [name.removeprefix("compiled/parts/") for name in figures_of({"contenders": [contender]})]
    assert named == ["exact_match_answer_normalised", "fact_2", "a_.._b", "part", "x" * 150]


def test_what_each_phase_took_of_each_model_is_told() -> None:
    phase = {"phase": "optimise", "role": "teacher", "calls": 7, "usd": None}
    figures = figures_of({"spent": {"calls": 9, "usd": 0.5, "phases": [phase]}})
    assert figures == {"calls": 9.0, "usd": 0.5, "spent/optimise/teacher/calls": 7.0}


def test_older_evidence_has_the_two_contenders_that_there_always_were() -> None:
    scores = {"before": SUMMARY, "after": SUMMARY, "difference": TEST}
    assert [one["name"] for one in contenders_of({"scores": scores})] == ["zero-shot", "compiled"]
