"""`compiler compare --live` as a user runs it: beside a real gateway's metrics, and on a real traffic log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from gateway.stores.database import Database
from gateway.traffic.redaction import Redaction
from gateway.traffic.rows import redacted_rows
from gateway.traffic.store import Said, TrafficStore
from programs.aliases import read_aliases
from programs.canary import CanaryGuards, set_canary
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.traffic.entries import an_entry
from tests.gateway.upstream import REPLY, Script, Upstream, running_upstream

RIDDLE = "Answer the riddle."
UNGUARDED = CanaryGuards(max_error_increase=None, max_unparseable_increase=None, max_p95_increase=None)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A champion and a candidate, which gets half of the requests."""
    folder = tmp_path / "releases"
    put_release(folder, make_plan(), {})
    candidate = put_release(folder, make_plan(prompt=RIDDLE), {}, "candidate")
    set_canary(folder / "quiz", candidate, 50, UNGUARDED)
    return folder


def live(releases: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["compare", "quiz", "--live", "--releases", str(releases), *words])


def lines(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {line["what"]: line for line in json.loads(result.stdout)["lines"]}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The releases of a gateway that answered 60 callers, half of them badly by its canary; its metrics."""
    folder = tmp_path_factory.mktemp("live")
    with running_upstream() as upstream:
        prepare(folder / "releases", upstream)
        with (
            running_gateway(settings_for(folder, upstream.url)) as gateway,
            gateway.metrics.listener("127.0.0.1", 0) as port,
            httpx.Client(base_url=gateway.url) as client,
        ):
            for number in range(60):
                ask(client, str(number))
            yield folder / "releases", f"http://127.0.0.1:{port}/metrics"


def prepare(releases: Path, upstream: Upstream) -> None:
    upstream.reset(Script(text=REPLY, texts={RIDDLE: "no fields"}))
    student = fingerprint_of(upstream.url)
    put_release(releases, make_plan(), student)
    candidate = put_release(releases, make_plan(prompt=RIDDLE), student, "candidate")
    set_canary(releases / "quiz", candidate, 50, UNGUARDED)


def ask(client: httpx.Client, session: str) -> int:
    body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}
    headers = {"x-smallforge-session": session}
    return client.post("/v1/chat/completions", json=body, headers=headers, timeout=20).status_code


def test_the_metrics_tell_what_the_candidate_does_worse(metrics: tuple[Path, str]) -> None:
    releases, url = metrics
    told = live(releases, "--metrics", url)
    assert told.exit_code == 0, told.output
    aliases = read_aliases(releases / "quiz")
    assert f"A: quiz@{aliases.champion}, B: quiz@{aliases.candidate}, by {url}" in told.output
    assert "Beyond chance: B has more unparseable answers." in told.output
    assert "more errors" not in told.output


def test_the_same_as_json_adds_up_to_what_was_asked(metrics: tuple[Path, str]) -> None:
    releases, url = metrics
    found = lines(live(releases, "--metrics", url, "--json"))
    unparseable = found["unparseable"]
    assert sum(unparseable["n"]) == 60 and unparseable["a"]["mean"] == 0 and unparseable["b"]["mean"] == 1
    assert unparseable["p_corrected"] < 0.001 and unparseable["difference"]["low"] > 0.5
    assert 0 < found["seconds, median"]["a"]["low"] <= found["seconds, median"]["a"]["high"]
    cost = found["USD per request"]
    assert cost["a"]["mean"] > 0 and cost["a"]["low"] is None and cost["p"] is None


def test_only_what_comes_within_the_seconds_is_counted(metrics: tuple[Path, str]) -> None:
    releases, url = metrics
    assert lines(live(releases, "--metrics", url, "--seconds", "0.1", "--json"))["errors"]["n"] == [0, 0]


def log(path: Path, releases: Path) -> None:
    """30 requests of each of the two; the candidate's cost twice as much, take longer, and are liked more."""
    aliases = read_aliases(releases / "quiz")
    entries, said = [], []
    for number in range(60):
        better, id = number % 2, f"chatcmpl-{number}"
        version = aliases.candidate if better else aliases.champion
        changes = {"usd": (1 + number % 3) * (1 + better) / 1e5, "seconds": 1 + number / 100 + better}
        entries.append(an_entry(id, release=f"quiz@{version}", days_old=-0.001, **changes))
        score = better if number < 40 else 1 - better
        kind: Any = "label" if number % 4 else "score"
        value = json.dumps(score if kind == "score" else ("approved" if score else "rejected"))
        said.append(Said(id, kind, value, None, None))
    long_ago = an_entry("chatcmpl-old", release=f"quiz@{aliases.champion}", days_old=3, status=502, error="x")

    async def write() -> None:
        database = Database(str(path))
        store = TrafficStore(database)
        await store.open()
        await store.add(redacted_rows([*entries, long_ago], Redaction({})))
        for one in said:
            await store.say(one)
        await database.close()

    asyncio.run(write())


def test_the_traffic_log_tells_cost_and_what_clients_said(releases: Path, tmp_path: Path) -> None:
    log(tmp_path / "gateway.db", releases)
    config = tmp_path / "smallforge.toml"
    config.write_text(f'[gateway]\ndatabase = "{tmp_path / "gateway.db"}"\n')
    found = lines(live(releases, "--traffic", "--json", "--config", str(config)))
    assert found["errors"]["n"] == [30, 30] and found["errors"]["a"]["mean"] == 0
    assert found["USD per request"]["p_corrected"] < 0.001
    assert found["feedback"]["n"] == [30, 30] and found["feedback"]["b"]["mean"] == pytest.approx(2 / 3)
    told = live(releases, "--traffic", "--config", str(config)).output
    assert "the traffic log, since the canary began" in told
    assert all(f"B {what}" in told for what in ("is slower", "costs more", "is liked more"))
    of_all = lines(live(releases, "--traffic", "--hours", "100", "--json", "--config", str(config)))
    assert of_all["errors"]["n"] == [31, 30]


def test_a_closed_port_is_a_sentence_that_names_the_flag(releases: Path) -> None:
    result = live(releases, "--metrics", "http://127.0.0.1:1/metrics")
    assert result.exit_code == 2 and "--metrics names another address" in result.output


def test_a_program_without_a_second_release_is_told(tmp_path: Path) -> None:
    put_release(tmp_path, make_plan(), {})
    assert "no candidate" in live(tmp_path).output and live(tmp_path).exit_code == 2
    same = CliRunner().invoke(main, ["compare", "quiz", "quiz", "--live", "--releases", str(tmp_path)])
    assert same.exit_code == 2 and "name two releases of one program" in same.output


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "quiz"],
        ["compare", "quiz", "quiz@candidate", "--traffic"],
        ["compare", "quiz", "--live", "--hours", "2"],
        ["compare", "quiz", "--live", "--traffic", "--seconds", "2"],
    ],
)
def test_flags_that_do_not_fit_are_a_mistake(releases: Path, words: list[str]) -> None:
    result = CliRunner().invoke(main, [*words, "--releases", str(releases)])
    assert result.exit_code == 2 and "Usage:" in result.output
