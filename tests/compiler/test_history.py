from __future__ import annotations

from compiler.events import CandidateScored, Event, PhaseSpent, Spent
from compiler.history import History


def spent(calls: int) -> Spent:
    """That many calls for the search, and five for other things."""
    phases = (
        PhaseSpent("check", "student", 5, 50, 5, None, 1.0),
        PhaseSpent("optimise", "student", calls - 1, 10, 1, None, 1.0),
        PhaseSpent("optimise", "teacher", 1, 10, 1, None, 1.0),
    )
    return Spent(calls + 5, 60, 6, None, float(calls), phases)


def scored(name: str, score: float, dropped: bool = False) -> CandidateScored:
    return CandidateScored(name, score, 20, best=False, dropped=dropped, prompt_tokens=70, demos=3)


def read(*events: Event) -> History:
    history = History()
    for event in events:
        history.read(event)
    return history


def test_candidates_are_kept_in_their_order_with_what_the_search_had_taken() -> None:
    history = read(spent(10), scored("a", 0.5), spent(30), scored("b", 0.4, dropped=True))
    first, second = history.candidates()
    assert (first["order"], first["name"], first["calls"], first["seconds"]) == (1, "a", 10, 10.0)
    assert (second["order"], second["dropped"], second["calls"]) == (2, True, 30)
    assert (second["prompt_tokens"], second["demos"], second["n"]) == (70, 3, 20)


def test_the_best_rises_only_with_candidates_that_were_scored_on_all_examples() -> None:
    history = read(scored("a", 0.5), scored("b", 0.9, dropped=True), scored("c", 0.5), scored("d", 0.7))
    assert [(rise["order"], rise["best"]) for rise in history.rises()] == [(1, 0.5), (4, 0.7)]


def test_what_it_reads_it_passes_on() -> None:
    passed: list[Event] = []
    history = History()
    history.beside(passed.append)(scored("a", 0.5))
    assert passed == [scored("a", 0.5)] and len(history.candidates()) == 1
