from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.errors import TargetMissed
from compiler.events import Began, Finished, Spent, StageStarted
from compiler.tracking.mlflow_store import Store, TrackingUnavailable
from compiler.tracking.reader import Patience, Tracking, Untracked, open_tracking
from compiler.tracking.recording import Tracked
from tests.compiler.conftest import Builds
from tests.compiler.tracking.test_recording import runs

SUMS = Tracked("sums", "BootstrapFewShot")


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def opened(store: Store, warnings: list[str]) -> Tracking:
    assert store.address.own is not None
    patient = Patience(seconds=50, interrupted=50)  # for a busy machine
    return open_tracking(None, store.address.own, SUMS, warnings.append, patient)


def test_a_build_below_its_target_is_a_finished_run_and_nothing_is_said(
    store: Store, builds: Builds, capfd: pytest.CaptureFixture[str]
) -> None:
    warnings: list[str] = []
    Path(builds.folder, "mlflow.py").write_text("raise SystemExit('not the library')")
    with (
        contextlib.chdir(builds.folder),
        pytest.raises(TargetMissed),
        opened(store, warnings) as tracking,
    ):
        for event in builds.worked:
            tracking.read(event)
        raise TargetMissed("below")
    (run,) = runs(store)
    assert run.info.status == "FINISHED" and run.data.tags["logged"] == "whole"
    assert run.data.metrics["progress/score_score"] == 1.0
    assert warnings == [] and capfd.readouterr() == ("", "")


def test_an_interrupted_build_is_marked_as_killed(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), opened(store, []) as tracking:
        tracking.read(Began("b-1"))
        raise KeyboardInterrupt
    (run,) = runs(store)
    assert run.info.status == "KILLED"


def test_a_server_that_is_down_is_told_once_and_the_build_goes_on(tmp_path: Path, builds: Builds) -> None:
    warnings: list[str] = []
    with open_tracking("http://127.0.0.1:9", tmp_path, SUMS, warnings.append) as tracking:
        tracking.read(builds.worked[0])
        while not warnings:
            time.sleep(0.05)
            tracking.read(StageStarted("load"))
        for event in builds.worked[1:]:
            tracking.read(event)
    assert warnings == [
        "MLflow at 'http://127.0.0.1:9' failed: connection refused; the build goes on untracked, log it when "
        "it is released: compiler log sums@candidate --mlflow-uri http://127.0.0.1:9"
    ]


def test_a_store_that_fails_later_names_the_command_that_logs_the_build(store: Store, builds: Builds) -> None:
    warnings: list[str] = []
    with opened(store, warnings) as tracking:
        Path(store.address.own or "", "mlartifacts").write_text("a file where a folder must be")
        for event in builds.worked:
            tracking.read(event)
    last = builds.worked[-1]
    assert isinstance(last, Finished) and len(warnings) == 1
    assert warnings[0].endswith(f"log this build afterwards: compiler log sums@{last.result.version}")


def test_a_server_that_hangs_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    warnings: list[str] = []
    with deaf_server() as url:
        begun = time.monotonic()
        with open_tracking(url, tmp_path, SUMS, warnings.append, Patience(1.0)) as tracking:
            tracking.read(Began("b-1"))
        assert time.monotonic() - begun < 3
    assert len(warnings) == 1 and "did not answer within 1 seconds" in warnings[0]


def test_a_server_that_hangs_never_holds_an_event_up(tmp_path: Path) -> None:
    warnings: list[str] = []
    with deaf_server() as url:
        begun = time.monotonic()
        with open_tracking(url, tmp_path, SUMS, warnings.append, Patience(1.0, events=100)) as tracking:
            tracking.read(Began("b-1"))
            for done in range(5000):
                tracking.read(Spent(done, 0, 0, None, 0.0))
            assert time.monotonic() - begun < 1
    assert len(warnings) == 1 and "does not keep up with the build" in warnings[0]


def test_off_tracks_nothing_and_starts_nothing(tmp_path: Path) -> None:
    assert isinstance(open_tracking("off", tmp_path, SUMS, print), Untracked)
    assert list(tmp_path.iterdir()) == []


def test_a_tracked_build_imports_no_mlflow_of_its_own(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from compiler.tracking.reader import *\n"
        f"with open_tracking(None, Path({str(tmp_path)!r}), Tracked('p'), print): pass\n"
        "print('mlflow' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("None", "This build is not tracked: tracking needs 'mlflow', which is not installed: pip install"),
        ("'http://127.0.0.1:9'", "refused: tracking needs 'mlflow', which is not installed: pip install"),
    ],
    ids=["by default", "asked for"],
)
def test_without_mlflow_only_who_asks_for_it_is_refused(tmp_path: Path, uri: str, said: str) -> None:
    script = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from pathlib import Path; from compiler.tracking.reader import *\n"
        f"try: open_tracking({uri}, Path({str(tmp_path)!r}), Tracked('p'), print)\n"
        "except TrackingUnavailable as error: print('refused:', error)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith(said)


def test_an_address_that_is_none_is_refused_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailable, match="'htp://mlflow' is no address of MLflow"):
        open_tracking("htp://mlflow", tmp_path, SUMS, print)
