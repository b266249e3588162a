"""A canary as its operator and its clients see it: the real command, a real gateway, the official client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from openai import APIStatusError, OpenAI

from gateway.command import main
from programs.aliases import move_alias
from tests.gateway.commanded import serving
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.test_workers import ask, metric
from tests.gateway.upstream import Script, Upstream

RIDDLE = "Answer the riddle."


@dataclass(frozen=True)
class Trial:
    """A gateway with a champion, and a candidate whose prompt is about a riddle."""

    gateway: RunningGateway
    client: OpenAI
    champion: str
    candidate: str

    def command(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["canary", "quiz", *words, "--releases", str(self.gateway.releases)])

    def answered(self, session: str | None = None) -> str:
        """The version that answers this caller."""
        headers = {} if session is None else {"x-smallforge-session": session}
        raw = self.client.chat.completions.with_raw_response.create(
            model="quiz", messages=[{"role": "user", "content": "q"}], extra_headers=headers
        )
        release = str(raw.headers["x-smallforge-release"])
        assert raw.parse().model == release
        return release.removeprefix("quiz@")

    def follows(self, weight: float) -> None:
        """Waits until the gateway has taken in the weight."""
        wait_until(lambda: self.weight() == weight)

    def weight(self) -> float:
        card = self.client.models.retrieve("quiz").model_extra or {}
        return float(card["smallforge"].get("canary", {}).get("weight", 0))


@pytest.fixture
def trial(upstream: Upstream, tmp_path: Path) -> Iterator[Trial]:
    student = fingerprint_of(upstream.url)
    champion = put_release(tmp_path / "releases", make_plan(), student)
    candidate = put_release(tmp_path / "releases", make_plan(prompt=RIDDLE), student, "candidate")
    with (
        running_gateway(settings_for(tmp_path, upstream.url)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield Trial(gateway, client, champion, candidate)


def test_the_weight_is_followed_without_a_restart(trial: Trial) -> None:
    assert trial.answered("a") == trial.champion
    started = trial.command("--weight", "100")
    assert started.exit_code == 0 and f"quiz@{trial.candidate} gets 100 % of the requests" in started.output
    trial.follows(100)
    assert trial.answered("a") == trial.answered() == trial.candidate
    assert trial.command("--off").output.startswith("The canary of quiz is off.")
    trial.follows(0)
    assert trial.answered("a") == trial.champion


def test_callers_stay_where_they_are_and_a_larger_weight_only_adds_some(trial: Trial) -> None:
    sessions = [f"session-{number}" for number in range(30)]
    before: set[str] = set()
    for weight in (20, 60):
        trial.command("--weight", str(weight), "--max-p95-increase", "off")
        trial.follows(weight)
        twice = [{s for s in sessions if trial.answered(s) == trial.candidate} for _ in range(2)]
        assert twice[0] == twice[1] and before < twice[0] < set(sessions)
        before = twice[0]


def test_a_release_named_by_its_version_is_never_another(trial: Trial) -> None:
    trial.command("--weight", "100")
    trial.follows(100)
    raw = trial.client.chat.completions.with_raw_response.create(
        model=f"quiz@{trial.champion}", messages=[{"role": "user", "content": "q"}]
    )
    assert raw.headers["x-smallforge-release"] == f"quiz@{trial.champion}"


def test_unreadable_answers_end_the_canary_and_the_reason_is_kept(trial: Trial, upstream: Upstream) -> None:
    upstream.reset(Script(texts={RIDDLE: "no fields at all"}))
    trial.command("--weight", "50", "--min-requests", "5")
    trial.follows(50)

    def ask_until_it_ends() -> bool:
        for number in range(20):
            try:
                trial.answered(str(number))
            except APIStatusError as error:
                assert error.status_code == 502
        return '"rollback": {' in (trial.gateway.releases / "quiz" / "canary.json").read_text()

    wait_until(ask_until_it_ends)
    told = trial.command().output
    assert f"quiz@{trial.candidate} gets no requests: rolled back from 50 %" in told
    assert "could not be read or broke a check" in told
    labels = {"model": "quiz", "release": trial.candidate, "guard": "unparseable"}
    wait_until(lambda: trial.gateway.metric("gateway_canary_rollbacks_total", **labels) == 1)
    assert {trial.answered(str(number)) for number in range(20)} == {trial.champion}


def test_a_rollback_that_can_not_be_written_holds_here_all_the_same(trial: Trial, upstream: Upstream) -> None:
    upstream.reset(Script(texts={RIDDLE: "no fields at all"}))
    trial.command("--weight", "100", "--min-requests", "5", "--max-unparseable", "0.1")
    trial.follows(100)
    # A folder where the lock should be: nobody can change the canary.
    lock = trial.gateway.releases / "quiz" / ".canary.lock"
    lock.unlink()
    lock.mkdir()
    for _ in range(5):
        with pytest.raises(APIStatusError):
            trial.answered()
    wait_until(lambda: trial.weight() == 0)
    assert trial.answered() == trial.champion


def test_what_clients_give_up_by_their_own_deadlines_ends_no_canary(trial: Trial, upstream: Upstream) -> None:
    upstream.reset(Script(seconds=0.5))
    trial.command("--weight", "100", "--min-requests", "5", "--max-errors", "0.1")
    trial.follows(100)
    for _ in range(6):
        with pytest.raises(APIStatusError, match="deadline"):
            trial.client.chat.completions.create(
                model="quiz",
                messages=[{"role": "user", "content": "q"}],
                extra_headers={"x-smallforge-deadline-ms": "30"},
            )
    upstream.reset()
    assert trial.answered() == trial.candidate and trial.weight() == 100


def test_a_candidate_that_can_not_be_served_gets_nothing(trial: Trial, upstream: Upstream) -> None:
    other = {**fingerprint_of(upstream.url), "prompt_tokens": [1, 1, 1, 1, 1, 1, 1, 1]}
    stranger = put_release(trial.gateway.releases, make_plan(prompt="For another student."), other, None)
    trial.command("--weight", "100", "--version", stranger)
    wait_until(lambda: f"quiz@{stranger}" in {card.id for card in trial.client.models.list()})
    assert {trial.answered() for _ in range(5)} == {trial.champion}


def test_a_promoted_canary_is_the_champion_and_the_command_says_so(trial: Trial) -> None:
    trial.command("--weight", "10")
    move_alias(trial.gateway.releases / "quiz", "champion", trial.candidate, "for a test")
    wait_until(lambda: trial.answered() == trial.candidate)
    assert f"quiz@{trial.candidate} is the champion now" in trial.command().output


def test_a_later_candidate_does_not_take_the_place_of_the_canary(trial: Trial, upstream: Upstream) -> None:
    trial.command("--weight", "100")
    later = put_release(
        trial.gateway.releases, make_plan(prompt="Later."), fingerprint_of(upstream.url), "candidate"
    )
    trial.follows(100)
    assert trial.answered() == trial.candidate
    assert f"another release is the candidate now: {later}" in trial.command().output


@pytest.mark.parametrize(
    "words, told",
    [
        (["--weight", "10", "--off"], "--off and --weight can't go together"),
        (["--window", "60"], "say how much the canary gets"),
        (["--weight", "0"], "0"),
        (["--weight", "10", "--version", "cafecafecafe"], "has no release 'cafecafecafe'"),
        (["--weight", "10", "--max-errors", "nan"], "max_errors can't be that"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(tmp_path: Path, words: list[str], told: str) -> None:
    put_release(tmp_path, make_plan(), {})
    put_release(tmp_path, make_plan(prompt=RIDDLE), {}, "candidate")
    result = CliRunner().invoke(main, ["canary", "quiz", *words, "--releases", str(tmp_path)])
    assert result.exit_code == 2 and told in result.output
    assert not (tmp_path / "quiz" / "canary.json").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (["quiz", "--weight", "5"], "no candidate"),
        (["../quiz"], "no program '../quiz'"),
        (["nothing"], "no program 'nothing'"),
    ],
)
def test_what_has_no_canary_is_told(tmp_path: Path, words: list[str], told: str) -> None:
    champion = put_release(tmp_path, make_plan(), {})
    result = CliRunner().invoke(main, ["canary", *words, "--releases", str(tmp_path)])
    assert result.exit_code == 2 and told in result.output
    same = ["canary", "quiz", "--weight", "5", "--version", champion, "--releases", str(tmp_path)]
    assert "is the champion" in CliRunner().invoke(main, same).output
    assert "has no canary" in CliRunner().invoke(main, ["canary", "quiz", "--releases", str(tmp_path)]).output


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are told by Linux")
def test_a_canary_is_judged_by_what_all_workers_answered_and_ends_at_all(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.reset(Script(texts={RIDDLE: "no fields at all"}))
    releases = tmp_path / "releases"
    put_release(releases, make_plan(prompt=RIDDLE), fingerprint_of(upstream.url), "candidate")
    with serving(tmp_path, upstream, "--workers", "2") as served:
        words = ["canary", "quiz", "--weight", "100", "--min-requests", "30", "--releases", str(releases)]
        assert CliRunner().invoke(main, words).exit_code == 0

        def statuses() -> set[int]:
            """Of requests over connections of their own, which reach both workers."""
            return {ask(served) for _ in range(8)}

        kept = releases / "quiz" / "canary.json"
        wait_until(lambda: statuses() == {502}, 20)
        for _ in range(3):
            statuses()  # more than 30 in all, and at neither of them
        wait_until(lambda: '"rollback": {' in kept.read_text(), 20)
        wait_until(lambda: statuses() == {200}, 20)
        wait_until(lambda: metric(served, "gateway_canary_rollbacks_total") == 1)
    assert kept.stat().st_mode & 0o777 == 0o644
