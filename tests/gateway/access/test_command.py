"""Tests for gateway/access/command.py: what an operator sees of keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.gateway.access.issuing import issued, keys, told, where_keys_are
from tests.gateway.commanded import run, serving
from tests.gateway.upstream import Upstream


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder whose settings keep keys in it."""
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}")
    return tmp_path


def test_a_key_is_shown_once_with_what_it_may(house: Path) -> None:
    flags = (
        "--model",
        "gsm8k",
        "--model",
        "hotpot*",
        "--rpm",
        "60",
        "--usd-per-day",
        "2.5",
        "--expires",
        "90d",
    )
    shown = keys(house, "create", "frontend", *flags)
    token = next(line.strip() for line in shown.stdout.splitlines() if line.startswith("  sf-"))
    assert "gsm8k, hotpot*" in shown.stdout and "rpm 60, usd_per_day 2.5" in shown.stdout
    listed = keys(house, "list")
    assert "frontend" in listed.stdout and token not in listed.stdout
    assert token.split("-", 2)[2] not in (house / "gateway.db").read_bytes().decode("latin-1")


def test_programs_read_the_same_as_json(house: Path) -> None:
    flags = ("--tpm", "9000", "--concurrency", "4", "--usd-per-month", "20", "--traffic")
    made = told(house, "create", "batch", *flags)
    assert (made["tpm"], made["concurrency"], made["usd_per_month"], made["traffic"]) == (9000, 4, 20.0, True)
    (listed,) = told(house, "list")["keys"]
    assert listed == {name: value for name, value in made.items() if name != "key"}


def test_a_revoked_key_is_listed_only_when_all_are_asked_for(house: Path) -> None:
    issued(house, "gone")
    assert "5 seconds" in keys(house, "revoke", "gone").stdout
    assert "No key can be used" in keys(house, "list").stdout
    (listed,) = told(house, "list", "--all")["keys"]
    assert listed["state"] == "revoked"


def test_a_name_is_free_again_once_its_key_is_revoked(house: Path) -> None:
    first = told(house, "create", "frontend")
    again = keys(house, "create", "frontend")
    assert again.exit_code == 2 and "a key 'frontend' already" in again.stderr
    keys(house, "revoke", first["id"])
    assert told(house, "create", "frontend")["id"] != first["id"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "a/b"], "must begin with a letter"),
        (["create", "0123456789ab"], "must begin with a letter"),
        (["create", "abcdef012345"], "looks like the id of a key"),
        (["create", "late", "--expires", "1999-01-01"], "is over already"),
        (["create", "odd", "--expires", "soon"], "write for example '30m'"),
        (["create", "old", "--expires", "999999w"], "longer than a hundred years"),
        (["create", "old", "--expires", "9999-12-31T23:00:00-12:00"], "more than a hundred years away"),
        (["rotate", "somebody", "--grace", "999999w"], "longer than a hundred years"),
        (["rotate", "nobody"], "No key 'nobody'"),
        (["revoke", "nobody"], "No key 'nobody'"),
    ],
)
def test_a_mistake_is_one_sentence(house: Path, arguments: list[str], told: str) -> None:
    issued(house, "somebody")
    done = keys(house, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr and len(done.stderr.splitlines()) == 1


def test_looking_for_keys_makes_no_database(house: Path) -> None:
    done = keys(house, "list")
    assert done.exit_code == 2 and "`gateway keys create NAME` makes the first" in done.stderr
    assert not (house / "gateway.db").exists()


def test_a_key_that_can_not_be_made_leaves_nothing_behind(house: Path) -> None:
    assert keys(house, "create", "web", "--expires", "yesterday").exit_code == 2
    assert [path.name for path in house.iterdir()] == ["smallforge.toml"]


def test_files_of_keys_are_their_owners_alone(house: Path) -> None:
    issued(house, "frontend")
    for name in ("gateway.db", "gateway.pepper"):
        assert stat.S_IMODE((house / name).stat().st_mode) == 0o600


def test_the_first_key_says_that_running_gateways_have_to_start_again(house: Path) -> None:
    assert "started again" in keys(house, "create", "first").stderr
    assert keys(house, "create", "second").stderr == ""


def test_serving_beyond_this_machine_without_keys_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    flags = ("--student", upstream.url, "--host", "0.0.0.0", "--port", "0", "--metrics-port", "0")
    ended = run(tmp_path, *flags)
    assert ended.returncode == 2
    assert "gateway keys create NAME" in ended.stderr and "--open" in ended.stderr


@pytest.mark.parametrize("with_key", [True, False])
def test_with_a_key_or_the_word_of_the_operator_it_is_served(
    upstream: Upstream, tmp_path: Path, with_key: bool
) -> None:
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}")
    if with_key:
        issued(tmp_path, "frontend")
    with serving(tmp_path, upstream, "--host", "0.0.0.0", *([] if with_key else ["--open"])) as served:
        served.process.terminate()
        out, err = served.ended(20)
    assert ("Keys: asked for" if with_key else "Keys: none; whoever can reach 0.0.0.0") in out
    assert "Traceback" not in err
