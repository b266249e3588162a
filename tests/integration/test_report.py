"""The report of a real build in a real browser, as a phone and a desktop show it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from compiler.report.page import find_evidence, make_report, read_evidence
from tests.compiler.report.test_page import hostile
from tests.integration.conftest import House, program_or_leave_out

PHONE, TABLET, DESKTOP = 390, 768, 1280
# A window of Chromium is no narrower than 500 pixels; a frame is as narrow as it is told.
FRAME = """<!doctype html><meta charset="utf-8"><body><script>
window.onmessage = null;
const frame = document.createElement("iframe");
frame.style.cssText = "width:WIDTHpx;height:800px;border:0";
frame.onload = () => {
  const page = frame.contentDocument, wide = page.documentElement.clientWidth;
  page.querySelectorAll("details").forEach(one => one.open = true);
  const beyond = [...page.querySelectorAll("body *")].filter(
    one => one.getBoundingClientRect().right > wide + 1 && !one.closest(".scroll")
  );
  const seen = {
    wide, needed: page.documentElement.scrollWidth,
    beyond: beyond.slice(0, 5).map(one => one.tagName + "." + one.className),
    title: page.title, charts: page.querySelectorAll("svg.chart").length,
    sections: [...page.querySelectorAll("section")].map(one => one.id),
    foreign: page.querySelectorAll("script, img, iframe, object, link").length,
    high: page.documentElement.scrollHeight,
  };
  const out = document.createElement("pre");
  out.id = "seen"; out.textContent = JSON.stringify(seen);
  document.body.append(out);
};
frame.src = "PAGE";
document.body.append(frame);
</script>"""


class Browser:
    """Chromium, and the pages it can ask for on a loopback address."""

    def __init__(self, program: str, folder: Path, url: str, asked: list[str]) -> None:
        self._program, self._folder, self._url, self.asked = program, folder, url, asked

    def look(self, page: str, width: int) -> dict[str, Any]:
        """What a frame of that width shows of the page; fails on anything the page complains of."""
        (self._folder / "page.html").write_text(page)
        (self._folder / "frame.html").write_text(
            FRAME.replace("WIDTH", str(width)).replace("PAGE", "page.html")
        )
        self.asked.clear()
        dumped = self._run("--virtual-time-budget=10000", "--dump-dom", f"{self._url}/frame.html")
        assert "CONSOLE" not in dumped.stderr, dumped.stderr
        found = re.search(r'<pre id="seen">(.*?)</pre>', dumped.stdout, re.DOTALL)
        assert found, dumped.stdout[-2000:]
        return dict(json.loads(html.unescape(found[1])))

    def photograph(self, page: str, *options: str) -> bytes:
        (self._folder / "page.html").write_text(page)
        picture = self._folder / "page.png"
        self._run(f"--screenshot={picture}", "--window-size=1280,900", *options, f"{self._url}/page.html")
        return picture.read_bytes()

    def _run(self, *options: str) -> subprocess.CompletedProcess[str]:
        profile = f"--user-data-dir={self._folder / 'profile'}"
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
        command = [self._program, *quiet, profile, "--enable-logging=stderr", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = program_or_leave_out("chromium", "chromium", "chromium-browser", "google-chrome")
    folder, asked = tmp_path_factory.mktemp("browser"), list[str]()

    class Pages(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

        def end_headers(self) -> None:
            # Pages follow each other within a second, which is all that a date in a header tells apart.
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Browser(program, folder, f"http://127.0.0.1:{server.server_port}", asked)
        server.shutdown()


@pytest.fixture(scope="module")
def release(house: House) -> Path:
    """A release with a search behind it."""
    house.run("compiler", "build", "passage_qa", "--set", "num_candidate_programs=3", "--mlflow-uri", "off")
    return house.folder / "releases" / "passage_qa" / house.alias("passage_qa", "candidate")


@pytest.mark.parametrize("width", [PHONE, TABLET, DESKTOP])
def test_the_report_of_a_build_fits_the_screen_and_asks_for_nothing(
    browser: Browser, release: Path, width: int
) -> None:
    page = find_evidence(release)["report.html"].decode()
    seen = browser.look(page, width)
    assert seen["wide"] == width and seen["needed"] <= width and seen["beyond"] == []
    assert seen["title"].startswith("passage_qa: ") and seen["charts"] == 2 and seen["foreign"] == 0
    assert {"contenders", "search", "examples", "tokens", "prompt", "cost", "data"} <= set(seen["sections"])
    assert {path for path in browser.asked if "favicon" not in path} == {"/frame.html", "/page.html"}


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_hostile_texts_neither_run_nor_widen_the_page(browser: Browser, release: Path, width: int) -> None:
    seen = browser.look(make_report(hostile(read_evidence(find_evidence(release)))), width)
    assert seen["needed"] <= width and seen["beyond"] == [] and seen["foreign"] == 0
    assert seen["title"].startswith("<script>alert(1)</script>")


def test_the_report_is_drawn_by_day_and_by_night(browser: Browser, release: Path) -> None:
    page = find_evidence(release)["report.html"].decode()
    day = browser.photograph(page)
    night = browser.photograph(page, "--blink-settings=preferredColorScheme=0")
    assert len(day) > 20_000 and len(night) > 20_000 and day != night


def test_the_command_draws_the_same_report_again(house: House, release: Path) -> None:
    told = house.run("compiler", "report", f"passage_qa@{release.name}", "--out", "again.html")
    assert told == "Wrote again.html\n"
    assert (house.folder / "again.html").read_bytes() == find_evidence(release)["report.html"]
