"""Downloads from a real server: whole, interrupted, repeated, refused, and what an engine then finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from compiler.download import Progress, amount, download
from compiler.errors import FetchFailed, HubUnreachable, StateNotWritten
from compiler.hub import Hub
from compiler.model_choice import Wanted
from compiler.model_places import HubCache, Place, PlainDirectory, free_bytes
from engine.hub_cache import cached_snapshot, repository
from engine.model_files import find_model
from tests.compiler.hub_server import COMMIT, ScriptedHub, serving_hub
from tests.integration.tiny_model import write_tiny_model

MODEL = "acme/tiny"
WEIGHTS = "model.safetensors"
ROOM = 10**9


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ScriptedHub]:
    with serving_hub() as hub:
        hub.add(MODEL, write_tiny_model(tmp_path / "source"), README__md=b"# Tiny", old__bin=b"pickled")
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "cache", MODEL)


def fetch(served: ScriptedHub, place: Place, free: int = ROOM, revision: str = "main") -> list[str]:
    """What is said while the model is fetched."""
    said: list[str] = []
    download(Hub(served.url), place, Wanted(MODEL, revision), said.append, free, pause_seconds=0)
    return said


def begins(served: ScriptedHub) -> list[int]:
    """Where each request for the weights began."""
    return [asked.begin for asked in served.asked if asked.file == WEIGHTS]


def test_a_download_lies_in_the_cache_as_hugging_faces_own_tools_leave_it(
    served: ScriptedHub, cache: HubCache
) -> None:
    fetch(served, cache)
    found = snapshot_download(MODEL, cache_dir=cache.folder, local_files_only=True)
    files = {path.name: path.read_bytes() for path in Path(found).iterdir()}
    published = served.models[MODEL].files
    assert files == {name: data for name, data in published.items() if name not in ("README.md", "old.bin")}


def test_an_engine_finds_it_by_its_name_and_asks_nobody(served: ScriptedHub, cache: HubCache) -> None:
    fetch(served, cache)
    model = find_model(MODEL, cache.folder)
    assert model.directory == cached_snapshot(cache.folder, MODEL)
    assert (model.name, model.context_tokens) == (MODEL, 2048)
    assert model.weights_digest() == find_model(str(served.source)).weights_digest()


def test_it_says_first_what_it_fetches_and_what_room_there_is(served: ScriptedHub, cache: HubCache) -> None:
    said = fetch(served, cache)
    assert said[0] == "acme/tiny at 0123456789ab (main): 5 files, 205 kB"
    assert f"  {WEIGHTS}, 200 kB" in said
    assert "  left out, as no engine here reads it: 13 bytes (README.md, old.bin)" in said
    assert said[-2:] == [
        f"Into {cache.folder}: 205 kB to fetch, 1 GB free",
        "Complete: 5 files, 205 kB",
    ]


def test_a_second_download_fetches_nothing(served: ScriptedHub, cache: HubCache) -> None:
    fetch(served, cache)
    served.asked.clear()
    assert fetch(served, cache) == ["Here already: 5 files, 205 kB"]
    assert served.asked == []


def test_what_is_new_at_the_hub_is_fetched_and_nothing_else(served: ScriptedHub, cache: HubCache) -> None:
    fetch(served, cache)
    published = served.models[MODEL]
    published.commit, published.files["generation_config.json"] = "f" * 40, b'{"eos_token_id": 0}'
    served.asked.clear()
    fetch(served, cache)
    assert [asked.file for asked in served.asked] == ["generation_config.json"]
    snapshot = cached_snapshot(cache.folder, MODEL)
    assert snapshot is not None and snapshot.name == "f" * 40
    assert (snapshot / "generation_config.json").read_bytes() == b'{"eos_token_id": 0}'
    assert cached_snapshot(cache.folder, MODEL, COMMIT) is not None


def test_a_broken_connection_goes_on_by_itself_with_the_rest_only(
    served: ScriptedHub, cache: HubCache
) -> None:
    served.drops_after = [100_000, 50_000]
    said = fetch(served, cache)
    assert begins(served) == [0, 100_000, 150_000]
    assert any(line.endswith("; trying again") for line in said)


def test_an_interrupted_download_is_resumed_with_the_rest_only(served: ScriptedHub, cache: HubCache) -> None:
    served.drops_after = [100_000, *[0] * 5]
    with pytest.raises(HubUnreachable, match="what was fetched is kept, and the same command goes on"):
        fetch(served, cache)
    assert cached_snapshot(cache.folder, MODEL) is None
    served.asked.clear()
    said = fetch(served, cache)
    assert [(asked.file, asked.begin) for asked in served.asked] == [(WEIGHTS, 100_000)]
    assert f"Into {cache.folder}: 99.9 kB to fetch, 1 GB free" in said


def test_a_server_that_begins_anew_is_followed(served: ScriptedHub, cache: HubCache) -> None:
    served.drops_after, served.ignores_ranges = [100_000], True
    fetch(served, cache)
    assert cached_snapshot(cache.folder, MODEL) is not None


def test_what_arrived_wrong_is_thrown_away_and_fetched_anew(served: ScriptedHub, cache: HubCache) -> None:
    file = next(file for file in Hub(served.url).listing(MODEL, "main").files if file.name == WEIGHTS)
    cache.part(file).parent.mkdir(parents=True)
    cache.part(file).write_bytes(b"other bytes")
    with pytest.raises(FetchFailed, match=r"'model\.safetensors' is not what the hub lists: its digest is"):
        fetch(served, cache)
    fetch(served, cache)
    assert begins(served) == [11, 0]


def test_too_little_room_is_told_before_anything_is_fetched(served: ScriptedHub, cache: HubCache) -> None:
    with pytest.raises(StateNotWritten, match=r"takes 205 kB more .* but only 50\.1 MB are; make room"):
        fetch(served, cache, free=50_100_000)
    assert served.asked == [] and not cache.folder.exists()


def test_room_is_needed_for_the_rest_only(served: ScriptedHub, cache: HubCache) -> None:
    served.drops_after = [150_000, *[0] * 5]
    with pytest.raises(HubUnreachable):
        fetch(served, cache)
    fetch(served, cache, free=50_100_000)
    assert cached_snapshot(cache.folder, MODEL) is not None


def test_a_disk_that_refuses_is_told(served: ScriptedHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StateNotWritten, match=r"can't write into .*: Not a directory; what was fetched is kept"
    ):
        fetch(served, HubCache(tmp_path / "file", MODEL))


def test_a_gated_model_is_refused_with_its_smallest_file(served: ScriptedHub, cache: HubCache) -> None:
    served.models[MODEL].token = "hf_right"
    with pytest.raises(FetchFailed, match="is gated"):
        fetch(served, cache)
    assert served.asked == []


def test_without_network_what_is_here_is_enough(served: ScriptedHub, cache: HubCache) -> None:
    nowhere = Hub("http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match="can't reach"):
        download(nowhere, cache, Wanted(MODEL), lambda _: None, ROOM)
    fetch(served, cache)
    said: list[str] = []
    download(nowhere, cache, Wanted(MODEL), said.append, ROOM)
    assert said[0].startswith(f"acme/tiny is in {cache.folder}; whether the hub has another by now")


def test_a_tag_is_kept_beside_the_branch(served: ScriptedHub, cache: HubCache) -> None:
    served.models[MODEL].revisions += ("v1",)
    fetch(served, cache, revision="v1")
    assert cached_snapshot(cache.folder, MODEL) is None
    assert find_model(MODEL, cache.folder, "v1").directory is not None
    fetch(served, cache, revision=COMMIT)
    assert sorted(path.name for path in (repository(cache.folder, MODEL) / "refs").iterdir()) == ["v1"]


def test_an_index_that_names_other_files_is_no_model(served: ScriptedHub, cache: HubCache) -> None:
    index = b'{"weight_map": {"a": "model-00002-of-00002.safetensors"}}'
    served.models[MODEL].files["model.safetensors.index.json"] = index
    with pytest.raises(FetchFailed, match="its index names weights that are not in the list"):
        fetch(served, cache)


def test_a_plain_directory_holds_the_files_and_nothing_else(served: ScriptedHub, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    fetch(served, PlainDirectory(folder))
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in served.source.iterdir()
    )
    model = find_model(str(folder))
    assert (model.name, model.weights_digest()) == ("plain", find_model(str(served.source)).weights_digest())


def test_a_file_of_a_plain_directory_that_was_changed_is_fetched_again(
    served: ScriptedHub, tmp_path: Path
) -> None:
    place = PlainDirectory(tmp_path / "plain")
    fetch(served, place)
    config = tmp_path / "plain" / "config.json"
    config.write_bytes(config.read_bytes().replace(b"llama", b"LLAMA"))
    served.asked.clear()
    fetch(served, place)
    assert [asked.file for asked in served.asked] == ["config.json"] and b"LLAMA" not in config.read_bytes()


def test_progress_is_told_every_few_seconds() -> None:
    said: list[str] = []
    times = iter([0.0, 1.0, 6.0, 7.0, 20.0])
    progress = Progress(1_000_000, 100_000, said.append, lambda: next(times))
    for _ in range(3):
        progress.moved(200_000)
    progress.moved(300_000)
    assert said == ["  500 kB of 1 MB (50 %), 66.7 kB/s, about 7 s left"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (999_600, "1 MB"), (1_503_300_328, "1.5 GB"), (76e12, "76 TB")],
)
def test_amounts_are_read_at_a_glance(count: float, text: str) -> None:
    assert amount(int(count)) == text


def test_room_is_that_of_the_disk_on_which_the_folder_will_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0


def command(served: ScriptedHub, home: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    """The command in a process of its own, whose directory and cache is `home`."""
    hub = {"HF_ENDPOINT": served.url, "HF_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "compiler", "download", *words],
        cwd=home,
        env=os.environ | hub | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_keeps_what_was_fetched_for_the_same_command(served: ScriptedHub, tmp_path: Path) -> None:
    served.stalls_after = 100_000
    running = command(served, tmp_path, MODEL, HF_TOKEN="hf_secret")
    until = time.monotonic() + 30
    while not any(part.stat().st_size > 50_000 for part in tmp_path.rglob("*.incomplete")):
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out) == (130, "")
    assert err.endswith("Stopped. What was fetched is kept, and the same command goes on with it.\n")
    (part,) = tmp_path.rglob("*.incomplete")
    kept = part.stat().st_size
    served.stalls_after = None
    again = command(served, tmp_path, MODEL, HF_TOKEN="hf_secret")
    out, err = again.communicate()
    assert (again.returncode, out, begins(served)) == (0, "Now: engine serve acme/tiny\n", [0, kept])
    assert "hf_secret" not in out + err
    assert find_model(MODEL, tmp_path / "hub").directory is not None


def test_a_mistake_is_one_sentence_and_exit_code_2(served: ScriptedHub, tmp_path: Path) -> None:
    done = command(served, tmp_path, "acme/tinny", HF_TOKEN="hf_secret")
    out, err = done.communicate()
    assert (done.returncode, out) == (2, "")
    assert err == "the hub has no model 'acme/tinny' that you may see, but 'acme/tiny'\n"


def test_offline_mode_is_told_and_asks_nobody(served: ScriptedHub, tmp_path: Path) -> None:
    done = command(served, tmp_path, MODEL, HF_HUB_OFFLINE="1")
    out, err = done.communicate()
    assert (done.returncode, out) == (2, "")
    assert err == "HF_HUB_OFFLINE is set, so the hub is not asked; unset it to download\n"


def test_a_token_in_the_file_of_secrets_opens_a_gated_model(served: ScriptedHub, tmp_path: Path) -> None:
    served.models[MODEL].token = "hf_secret"
    (tmp_path / ".env").write_text("HF_TOKEN=hf_secret\n")
    folder = tmp_path / "my model"
    done = command(served, tmp_path, MODEL, "--to", str(folder))
    out, err = done.communicate()
    assert (done.returncode, out) == (0, f"Now: engine serve '{folder}'\n"), err
    assert find_model(str(folder)).name == "my model" and "hf_secret" not in out + err


def test_without_the_hubs_library_the_command_says_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from compiler.command import main; main(['download', 'acme/tiny'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'huggingface_hub', which is not installed: pip install 'smallforge[compiler]'" in done.stderr
