"""Tests for gateway/catalog.py: releases come, move, break and go while the gateway runs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from programs.aliases import move_alias
from programs.program import Chat
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "q"}]


class Shelf:
    """A releases folder with a gateway on it, for one test to put releases on."""

    def __init__(self, gateway: RunningGateway, client: OpenAI, student: dict[str, Any]) -> None:
        self.gateway = gateway
        self.client = client
        self.student = student
        self.folder = gateway.releases

    def put(self, prompt: str, alias: Any = "champion", name: str = "quiz") -> str:
        return put_release(self.folder, make_plan(name, prompt=prompt), self.student, alias)

    def served(self, model: str = "quiz") -> str:
        """The version that answers to a name, or the code of the refusal."""
        try:
            return self.client.chat.completions.create(model=model, messages=ASK).model.split("@")[1]
        except APIStatusError as error:
            return str(error.code)

    def comes(self, version: str, model: str = "quiz") -> None:
        wait_until(lambda: self.served(model) == version, 3)


@pytest.fixture
def shelf(upstream: Upstream, tmp_path: Path) -> Iterator[Shelf]:
    with (
        running_gateway(settings_for(tmp_path, upstream.url)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        yield Shelf(gateway, client, fingerprint_of(upstream.url))


def test_a_release_written_while_running_is_served(shelf: Shelf) -> None:
    assert shelf.served() == "model_not_found"
    shelf.comes(shelf.put("one"))


def test_a_promotion_moves_the_name_and_old_versions_stay(shelf: Shelf) -> None:
    first = shelf.put("one")
    shelf.comes(first)
    second = shelf.put("two", "candidate")
    shelf.comes(second, "quiz@candidate")
    assert shelf.served() == first
    move_alias(shelf.folder / "quiz", "champion", second, "better")
    shelf.comes(second)
    assert shelf.served(f"quiz@{first}") == first


def test_no_request_is_lost_while_the_champion_moves(shelf: Shelf) -> None:
    versions = [shelf.put(f"prompt {n}", "candidate") for n in range(6)]
    move_alias(shelf.folder / "quiz", "champion", versions[0], "first")
    shelf.comes(versions[0])
    answers: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(shelf.served())

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for version in versions:
        move_alias(shelf.folder / "quiz", "champion", version, "next")
        wait_until(lambda version=version: answers[-1:] == [version])  # type: ignore[misc]
    done.set()
    for asker in askers:
        asker.join()
    assert set(answers) == set(versions)


def test_a_request_in_flight_ends_on_the_release_it_began_with(shelf: Shelf, upstream: Upstream) -> None:
    first = shelf.put("one")
    shelf.comes(first)
    upstream.reset(Script(seconds=0.6))
    answered: list[str] = []
    asker = threading.Thread(target=lambda: answered.append(shelf.served()))
    asker.start()
    wait_until(lambda: bool(upstream.asked))
    upstream.script = Script()
    shelf.comes(shelf.put("two"))
    asker.join()
    assert answered == [first]


def test_a_broken_release_is_refused_and_the_old_one_goes_on(shelf: Shelf, tmp_path: Path) -> None:
    first = shelf.put("one")
    shelf.comes(first)
    second = put_release(tmp_path / "aside", make_plan(prompt="two"), shelf.student)
    plan = tmp_path / "aside" / "quiz" / second / "plan.json"
    plan.write_bytes(plan.read_bytes().replace(b"two", b"2wo"))
    plan.parent.rename(shelf.folder / "quiz" / second)
    move_alias(shelf.folder / "quiz", "champion", second, "by mistake")
    wait_until(lambda: shelf.served(f"quiz@{second}") == "model_unavailable", 3)
    assert shelf.served() == first


def test_damage_to_a_served_release_does_not_stop_it(shelf: Shelf) -> None:
    first = shelf.put("one")
    shelf.comes(first)
    (shelf.folder / "quiz" / first / "plan.json").write_text("{}")
    shelf.comes(shelf.put("two", "candidate"), "quiz@candidate")
    assert shelf.served() == first


def test_damaged_aliases_keep_their_former_meaning(shelf: Shelf) -> None:
    first = shelf.put("one")
    shelf.comes(first)
    (shelf.folder / "quiz" / "aliases.json").write_text('{"champion": "../../etc"}')
    second = shelf.put("other", "champion", "other")
    shelf.comes(second, "other")
    assert shelf.served() == first


def test_a_program_taken_off_the_shelf_is_gone(shelf: Shelf) -> None:
    shelf.comes(shelf.put("one"))
    shutil.rmtree(shelf.folder / "quiz")
    shelf.comes("model_not_found")


def test_a_program_without_a_champion_says_what_it_has(shelf: Shelf) -> None:
    version = shelf.put("one", None)
    shelf.comes(version, f"quiz@{version}")
    with pytest.raises(APIStatusError, match="no champion yet"):
        shelf.client.chat.completions.create(model="quiz", messages=ASK)


def test_drafts_links_and_strangers_are_not_releases(shelf: Shelf, tmp_path: Path) -> None:
    version = shelf.put("one")
    shelf.comes(version)
    program = shelf.folder / "quiz"
    shutil.copytree(program / version, program / ".draft-x")
    shutil.copytree(program / version, program / "notes")
    (program / "0123456789ab").symlink_to(program / version)
    shelf.comes(shelf.put("two", "candidate"), "quiz@candidate")
    names = {model.id for model in shelf.client.models.list()}
    assert names == {"quiz", "quiz@candidate", f"quiz@{version}", f"quiz@{shelf.served('quiz@candidate')}"}


@pytest.mark.parametrize(
    "chat", [Chat("nobody", "answer"), Chat("question", "nothing"), Chat("question", "answer", system="x")]
)
def test_a_release_whose_chat_names_none_of_its_fields_is_refused(shelf: Shelf, chat: Chat) -> None:
    version = put_release(shelf.folder, make_plan(chat=chat), shelf.student, None)
    wait_until(lambda: shelf.served(f"quiz@{version}") == "model_unavailable", 3)
    shelf.comes(shelf.put("one"))


def test_a_release_under_a_false_name_is_refused(shelf: Shelf) -> None:
    version = shelf.put("one")
    shelf.comes(version)
    shutil.copytree(shelf.folder / "quiz" / version, shelf.folder / "quiz" / "0123456789ab")
    wait_until(lambda: shelf.served("quiz@0123456789ab") == "model_unavailable", 3)
    assert "quiz@0123456789ab" not in {model.id for model in shelf.client.models.list()}
