"""What a hub tells, refuses and gets wrong, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.errors import ArgumentInvalid, FetchFailed, HubUnreachable
from compiler.hub import Hub
from tests.compiler.hub_server import COMMIT, ScriptedHub, serving_hub
from tests.integration.tiny_model import write_tiny_model

MODEL = "acme/tiny"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ScriptedHub]:
    with serving_hub() as hub:
        hub.add(MODEL, write_tiny_model(tmp_path / "source"))
        yield hub


def test_the_files_of_a_model_are_listed_with_sizes_and_digests(served: ScriptedHub) -> None:
    listing = Hub(served.url).listing(MODEL, "main")
    files = {file.name: file for file in listing.files}
    assert (listing.commit, len(files)) == (COMMIT, 5)
    assert files["model.safetensors"].size == len(served.models[MODEL].files["model.safetensors"])
    assert len(files["model.safetensors"].digest) == 64 and len(files["config.json"].digest) == 40


def test_content_begins_where_it_is_asked_to(served: ScriptedHub) -> None:
    hub = Hub(served.url)
    listing = hub.listing(MODEL, "main")
    config = next(file for file in listing.files if file.name == "config.json")
    with hub.content(listing, config, 10) as content:
        assert content.begin == 10
        assert b"".join(content.chunks) == served.models[MODEL].files["config.json"][10:]


def test_an_unknown_model_is_told_with_its_nearest_names(served: ScriptedHub) -> None:
    with pytest.raises(FetchFailed, match=r"has no model 'acme/tyny' that you may see, but 'acme/tiny'"):
        Hub(served.url).listing("acme/tyny", "main")
    with pytest.raises(FetchFailed, match=r"no model 'acmee/tiny' .*but 'acme/tiny'; for a private one"):
        Hub(served.url).listing("acmee/tiny", "main")
    with pytest.raises(FetchFailed, match=r"has no model 'other/thing' that you may see$"):
        Hub(served.url, token="hf_x").listing("other/thing", "main")


def test_an_unknown_revision_is_told(served: ScriptedHub) -> None:
    with pytest.raises(FetchFailed, match=r"'acme/tiny' has no revision 'v9'; give a branch, a tag"):
        Hub(served.url).listing(MODEL, "v9")


def test_a_name_that_the_hub_allows_to_nobody_is_told_without_asking(served: ScriptedHub) -> None:
    with pytest.raises(ArgumentInvalid, match="'acme/a--b' is no name that a model can have"):
        Hub(served.url).listing("acme/a--b", "main")


@pytest.mark.parametrize(
    ("token", "sentence"),
    [(None, "its owners decide .* then set HF_TOKEN"), ("hf_other", "your token has no right to it")],
)
def test_a_gated_model_says_how_to_get_it(token: str | None, sentence: str, served: ScriptedHub) -> None:
    served.models[MODEL].token = "hf_right"
    hub = Hub(served.url, token)
    listing = hub.listing(MODEL, "main")
    with pytest.raises(FetchFailed, match=sentence), hub.content(listing, listing.files[0], 0):
        pass


def test_the_token_goes_to_the_hub_and_nowhere_else(served: ScriptedHub) -> None:
    served.models[MODEL].token = "hf_right"
    hub = Hub(served.url, "hf_right")
    listing = hub.listing(MODEL, "main")
    for file in listing.files:
        with hub.content(listing, file, 0) as content:
            assert sum(map(len, content.chunks)) == file.size
    shown = {asked.file: asked.token for asked in served.asked}
    assert shown["config.json"] == "Bearer hf_right" and shown["model.safetensors"] is None


@pytest.mark.parametrize(
    ("status", "token", "sentence"),
    [
        (401, None, "to nobody without a token"),
        (403, "hf_x", "refuses your token"),
        (429, None, "too many requests"),
        (418, None, "answers 418"),
    ],
)
def test_a_refusal_is_one_sentence(
    status: int, token: str | None, sentence: str, served: ScriptedHub
) -> None:
    served.replies[f"/api/models/{MODEL}/revision/main"] = (status, b"{}")
    with pytest.raises(FetchFailed, match=sentence) as caught:
        Hub(served.url, token).listing(MODEL, "main")
    assert not isinstance(caught.value, HubUnreachable) and "hf_x" not in str(caught.value)


def test_a_server_that_fails_counts_as_not_reached(served: ScriptedHub) -> None:
    served.replies[f"/api/models/{MODEL}/revision/main"] = (503, b"")
    with pytest.raises(HubUnreachable, match=r"answers 503 .*try again later"):
        Hub(served.url).listing(MODEL, "main")


def test_a_closed_port_is_told_with_what_to_look_at() -> None:
    with pytest.raises(HubUnreachable, match=r"can't reach http://127\.0\.0\.1:9 .*HTTPS_PROXY"):
        Hub("http://127.0.0.1:9").listing(MODEL, "main")


FILE = {"rfilename": "a", "size": 1, "blobId": "0" * 40}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"[]",
        b"{}",
        json.dumps({"id": MODEL, "sha": COMMIT}).encode(),
        json.dumps({"id": MODEL, "sha": "../..", "siblings": []}).encode(),
        json.dumps({"id": MODEL, "sha": COMMIT, "siblings": [FILE | {"blobId": "../../x"}]}).encode(),
        json.dumps({"id": MODEL, "sha": COMMIT, "siblings": [FILE | {"size": -1}]}).encode(),
        json.dumps({"id": MODEL, "sha": COMMIT, "siblings": [FILE | {"rfilename": 7}]}).encode(),
        json.dumps({"id": MODEL, "sha": COMMIT, "siblings": [{"rfilename": "a"}]}).encode(),
    ],
)
def test_what_is_no_list_of_a_hub_is_told(body: bytes, served: ScriptedHub) -> None:
    served.replies[f"/api/models/{MODEL}/revision/main"] = (200, body)
    with pytest.raises(
        FetchFailed, match="does not answer as the Hugging Face hub does: its list of the files"
    ):
        Hub(served.url).listing(MODEL, "main")


def test_an_address_or_a_token_that_can_be_none_is_told_without_showing_the_token() -> None:
    with pytest.raises(FetchFailed, match="address 'hub' begins with neither"):
        Hub("hub")
    with pytest.raises(FetchFailed, match="holds a blank") as caught:
        Hub("http://127.0.0.1:9", "hf_secret\nmore")
    assert "secret" not in str(caught.value)
