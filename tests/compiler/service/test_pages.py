"""The console's pages, as a browser without scripts is given them."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compiler.events import Finished
from programs.aliases import move_alias, read_aliases
from tests.compiler.conftest import Builds
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.service.served import Told, furnish
from tests.compiler.service.served import serving as serving_console


@pytest.fixture(scope="module")
def engine() -> Iterator[Server]:
    with serving(Adder()) as served:
        yield served


@pytest.fixture
def shelf(builds: Builds) -> Path:
    return builds.releases / "sums"


@pytest.fixture
def console(builds: Builds, tmp_path: Path, engine: Server) -> Iterator[httpx.Client]:
    """Over two releases of `sums`: the champion is the plain one, the candidate has demonstrations."""
    with serving_console(tmp_path, furnish(tmp_path, engine.url), Told()) as client:
        client.follow_redirects = True
        yield client


def version(builds: Builds, which: str) -> str:
    last = getattr(builds, which)[-1]
    assert isinstance(last, Finished)
    return last.result.version


def text(page: httpx.Response) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def test_without_releases_the_pages_say_how_to_come_by_one(client: httpx.Client) -> None:
    assert "No releases yet" in text(client.get("/"))
    assert "Nothing to ask yet" in text(client.get("/test"))


def test_releases_are_shown_with_scores_intervals_and_a_plot(console: httpx.Client, builds: Builds) -> None:
    page = console.get("/")
    for which, alias in (("plain", "champion"), ("worked", "candidate")):
        assert f"{version(builds, which)} {alias}" in text(page)
    assert "100.0 % 91.2 to 100.0" in text(page) and "no proven gain" in text(page)
    assert 'aria-label="Score of' in page.text
    assert re.search(r"The same in numbers .* zero-shot the program as it was written \d+\.\d %", text(page))


def test_a_better_release_is_promoted_and_rolled_back(
    console: httpx.Client, builds: Builds, shelf: Path
) -> None:
    plain, worked = version(builds, "plain"), version(builds, "worked")
    promoted = console.post(f"/releases/sums/{worked}/promote")
    assert f"sums@{worked} is the champion now" in text(promoted) and "(McNemar's exact test)" in text(
        promoted
    )
    assert read_aliases(shelf).champion == worked
    assert f"sums@{plain} is the champion again" in text(console.post("/releases/sums/rollback"))
    assert read_aliases(shelf).champion == plain


def test_a_worse_release_is_refused_with_the_reason_and_takes_one_to_be_forced(
    console: httpx.Client, builds: Builds, shelf: Path
) -> None:
    plain, worked = version(builds, "plain"), version(builds, "worked")
    move_alias(shelf, "champion", worked, "for the test")
    refused = console.post(f"/releases/sums/{plain}/promote")
    assert refused.status_code == 409 and "Not promoted. Not better than the champion" in text(refused)
    assert console.post(f"/releases/sums/{plain}/promote", data={"force": "true"}).status_code == 422
    forced = console.post(f"/releases/sums/{plain}/promote", data={"force": "true", "reason": "cheaper"})
    assert "is the champion now" in text(forced)
    assert read_aliases(shelf).moves[-1].reason == "forced: cheaper"


def test_a_release_shows_what_it_is_and_the_report_of_its_build(
    console: httpx.Client, builds: Builds
) -> None:
    address = f"/releases/sums/{version(builds, 'worked')}"
    assert "plan: served without DSPy" in text(console.get(address))
    report = console.get(f"{address}/report")
    assert (
        "Who was measured" in text(report) and "script-src" not in report.headers["content-security-policy"]
    )


def test_a_damaged_release_is_listed_with_its_problem(
    console: httpx.Client, builds: Builds, shelf: Path
) -> None:
    (shelf / version(builds, "worked") / "plan.json").write_text("{}")
    assert "plan.json has digest" in text(console.get("/"))


def test_what_is_not_there_is_a_page_that_says_so(console: httpx.Client) -> None:
    for path in ("/releases/sums/000000000000", "/releases/none/000000000000", "/jobs/none", "/nothing"):
        page = console.get(path)
        assert page.status_code == 404 and "That is not possible" in text(page)
    assert "There is nothing at '/nothing'." in text(page)


def test_a_text_in_a_release_is_no_markup(console: httpx.Client) -> None:
    page = console.get("/", params={"told": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.text and "&lt;script&gt;alert" in page.text


def test_the_status_shows_jobs_engines_traffic_and_money(console: httpx.Client, tmp_path: Path) -> None:
    console.post("/api/jobs", json={"program": "gsm8k"})
    told = text(console.get("/status"))
    for shown in ("Money Spent on builds", "Jobs", "gsm8k", "Engines", "small", "No gateway answers"):
        assert shown in told


def test_an_engine_that_is_down_is_told_with_the_reason(client: httpx.Client) -> None:
    assert "default down" in text(client.get("/status"))


def test_a_field_that_the_program_does_not_name_is_told(client: httpx.Client, tmp_path: Path) -> None:
    rows = (tmp_path / "data" / "sums.jsonl").read_bytes()
    sent = {"file": ("rows.jsonl", rows.replace(b'"answer"', b'"answer": "0", "anwser"', 1))}
    taken = client.post("/train/rows", data={"program": f"{tmp_path}/programs/sums.py"}, files=sent)
    assert taken.status_code == 200 and "names no field 'anwser'" in text(taken)


def test_rows_are_checked_line_by_line_before_anything_runs(client: httpx.Client, tmp_path: Path) -> None:
    asked = {"program": f"{tmp_path}/programs/sums.py"}
    good = (tmp_path / "data" / "sums.jsonl").read_bytes()
    taken = client.post("/train/rows", data=asked, files={"file": ("my rows.jsonl", good)})
    assert "all 60 rows can be used" in text(taken) and "What is 1 + 0?" in text(taken)
    bad = b'{"question": "What is 1 + 1?"}\nnot JSON\n[]\n'
    refused = client.post("/train/rows", data=asked, files={"file": ("rows.jsonl", bad)})
    assert refused.status_code == 422
    for line in ("rows.jsonl line 1: field 'answer' is missing", "rows.jsonl line 2:", "rows.jsonl line 3:"):
        assert line in text(refused)
    few = client.post("/train/rows", data=asked, files={"file": ("few.jsonl", good[:200])})
    assert few.status_code == 422


def test_a_zero_among_the_first_rows_is_shown(client: httpx.Client, tmp_path: Path) -> None:
    program = tmp_path / "programs" / "sums.py"
    program.write_text(program.read_text().replace("-> answer", "-> answer: int"))
    rows = "".join(f'{{"question": "What is {n} - {n}?", "answer": 0}}\n' for n in range(60))
    sent = {"file": ("zeros.jsonl", rows.encode())}
    taken = client.post("/train/rows", data={"program": str(program)}, files=sent)
    assert "What is 0 - 0? 0 What is 1 - 1? 0" in text(taken)


@pytest.mark.parametrize("name", ["rows.csv", "../../evil.py", "", "rows"])
def test_a_file_that_is_no_rows_by_its_name_is_not_kept(
    client: httpx.Client, tmp_path: Path, name: str
) -> None:
    sent = client.post("/train/rows", data={"program": "gsm8k"}, files={"file": (name, b"{}")})
    assert sent.status_code == 422 and not (tmp_path / "state" / "uploads").exists()


def test_an_upload_is_kept_under_its_own_name_below_the_uploads(client: httpx.Client, tmp_path: Path) -> None:
    sent = {"file": ("../../x/rows.jsonl", b"{}\n")}
    client.post("/train/rows", data={"program": f"{tmp_path}/programs/sums.py"}, files=sent)
    (kept,) = (tmp_path / "state" / "uploads").rglob("*.jsonl")
    assert kept.name == "rows.jsonl" and kept.parent.parent == tmp_path / "state" / "uploads"


def test_an_upload_has_a_largest_size(tmp_path: Path) -> None:
    with serving_console(tmp_path, furnish(tmp_path, max_upload_mb=1), Told()) as client:
        for size in (1_060_000, 9_000_000):
            rows = {"file": ("rows.jsonl", b" " * size)}
            assert client.post("/train/rows", data={"program": "gsm8k"}, files=rows).status_code == 413
        sent = client.post("/api/jobs", content=iter([b"{}"]))
    assert (sent.status_code, sent.json()["error"]["code"]) == (413, "upload_too_large")


def test_an_order_leads_to_its_job_which_says_what_it_will_take(
    client: httpx.Client, place: Told, tmp_path: Path
) -> None:
    rows = f"{tmp_path}/data/sums.jsonl"
    shutil.copy(tmp_path / "programs" / "sums.py", tmp_path / "programs" / "mine.py")
    asked = {"program": f"{tmp_path}/programs/mine.py", "data": rows, "ceiling": "0.50"}
    job = client.post("/train", data=asked)
    assert job.status_code == 303
    page = text(client.get(job.headers["location"]))
    assert "mine" in page and f"--data={rows}" in page and "--max-usd=0.5" in page and "Cancel" in page
    for wrong in ("lots", "-1", "nan", "inf"):
        assert client.post("/train", data={**asked, "ceiling": wrong}).status_code == 422
