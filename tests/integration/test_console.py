"""The console in a real Chromium, over the real engine and the bundled student: what a person does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from programs.loading import load_program
from tests.gateway.upstream import Script, running_upstream
from tests.integration.conftest import House, free_port, furnish, program_or_leave_out, running

ROWS = 100
SECONDS = 60_000  # as Playwright counts: until a build on a busy machine has gone one step further
PHONE = 390
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
CONTEXT = "1. Brian works on Friday.\n2. Emma keeps the ladder in the shed.\n3. Brian likes honey."
QUESTION = "Where does Emma keep the ladder?"


class Console(NamedTuple):
    house: House
    url: str

    @property
    def rows(self) -> Path:
        return self.house.folder / "rows.jsonl"


@contextmanager
def serving(house: House) -> Iterator[Console]:
    """`compiler serve` in a folder with some rows."""
    port = free_port()
    examples = load_program("passage_qa").examples("train")[:ROWS]
    rows = ({**dict(one.items()), "history": one.history.messages} for one in examples)
    (house.folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = house.folder / "smallforge.toml"
    told = f"{settings.read_text()}\n[console]\nport = {port}\nbuilds_at_once = 2\nprogram = 'passage_qa'\n"
    settings.write_text(f"{told}\n[compiler]\nmlflow_uri = 'off'\n")
    url = f"http://127.0.0.1:{port}"
    with running(["compiler", "serve"], house.folder, f"{url}/healthz", 120):
        yield Console(house, url)


@pytest.fixture(scope="module")
def console(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with serving(furnish(tmp_path_factory.mktemp("console"), engine_url)) as console:
        yield console


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = program_or_leave_out("chromium", "chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        expect.set_options(timeout=SECONDS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window whose scripts must not fail and which must ask nobody else for anything."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SECONDS)
    failures, asked = [], []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    assert failures == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))] == []


def see(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


def order(page: Page, console: Console, optimizer: str) -> None:
    """The two steps of the page, up to the estimate."""
    page.goto(f"{console.url}/train")
    page.get_by_label("Program").select_option("passage_qa")
    page.get_by_label("Rows of your own").set_input_files(console.rows)
    see(page, f"all {ROWS} rows can be used")
    page.get_by_label("Optimiser").select_option(optimizer)
    page.get_by_role("button", name="Estimate the build").click()
    see(page, "This is what the build will take")


@pytest.fixture(scope="module")
def trained(console: Console, browser: Browser) -> Console:
    """Two builds from uploaded rows at once: the first release is the champion, the second a candidate.

    The second build is cancelled on its way, and goes on when the first one is done.
    """
    windows = {name: browser.new_page() for name in ("none", "BootstrapFewShotWithRandomSearch")}
    for optimizer, window in windows.items():
        window.set_default_timeout(SECONDS)
        window.on("dialog", lambda dialog: dialog.accept())
        order(window, console, optimizer)
    plain, search = windows.values()
    # The longer one first, or the other might be done before it begins.
    for window in (search, plain):
        window.get_by_role("button", name="Start the build").click()
    for window in (search, plain):
        expect(window.get_by_text("running")).to_be_visible()
    search.get_by_role("button", name="Cancel").click()
    expect(search.get_by_text("cancelled", exact=True)).to_be_visible()
    for window in (plain, search):
        if window is search:
            search.get_by_role("button", name="Resume").click()
        expect(window.get_by_role("link", name="See the release")).to_be_visible(timeout=3 * SECONDS)
        window.close()
    return console


def test_what_was_trained_from_uploaded_rows_is_promoted_and_answers(trained: Console, page: Page) -> None:
    page.goto(trained.url)
    expect(page.get_by_role("img", name="Score of")).to_be_visible()
    page.get_by_role("button", name="Promote").click()
    see(page, "is the champion now")
    version = trained.house.alias("passage_qa", "champion")
    page.get_by_role("link", name=f"Test passage_qa@{version}").click()
    page.get_by_label("context").fill(CONTEXT)
    page.get_by_label("question").fill(QUESTION)
    page.get_by_role("button", name="Ask both").click()
    compiled = page.locator(".side", has_text="Compiled")
    # That it answers so is what the demonstrations show; the program as it was written does not.
    expect(compiled.locator(".answer")).to_contain_text("it is")
    expect(page.locator(".side", has_text="Unoptimised")).to_contain_text("Latency")
    page.get_by_label("question").fill("And when does she work?")
    page.get_by_role("button", name="Ask both").click()
    later = compiled.nth(1)
    later.get_by_text("Rendered prompt").click()
    expect(later.get_by_text(QUESTION)).to_be_visible()


def test_a_wrong_file_is_told_line_by_line_and_nothing_is_started(
    console: Console, page: Page, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"question": "How many?", "answer": 3}\n{"question": "How many?"}\nnothing\n')
    page.goto(f"{console.url}/train")
    page.get_by_label("Program").select_option("arithmetic")
    page.get_by_label("Rows of your own").set_input_files(wrong)
    see(page, "wrong.jsonl can't be used")
    see(page, "wrong.jsonl line 2: field 'answer' is missing")
    see(page, "wrong.jsonl line 3: is not JSON")
    see(page, "Trains with the program's own rows.")


def test_a_build_that_was_cancelled_has_gone_on_where_it_was(trained: Console, page: Page) -> None:
    page.goto(f"{trained.url}/status")
    expect(page.get_by_text("done", exact=True)).to_have_count(2)
    page.get_by_role("link", name="passage_qa").first.click()
    log = page.get_by_role("log", name="Log of the build")
    expect(log).to_contain_text("hat was answered is kept")
    expect(log).to_contain_text("goes on")
    expect(log).to_contain_text("Write the release")


def test_an_engine_that_stops_is_told_in_a_sentence(trained: Console, page: Page, tmp_path: Path) -> None:
    """It says half of an answer and no more, then breaks off, then is gone."""
    said = "[[ ## answer ## ]]\nin the shed behind the house, as every winter\n\n[[ ## completed ## ]]"
    with ExitStack() as engine:
        upstream = engine.enter_context(running_upstream())
        house = furnish(tmp_path, upstream.url)
        (tmp_path / "releases").symlink_to(trained.house.folder / "releases")
        with serving(house) as console:
            page.goto(f"{console.url}/test")
            page.get_by_label("context").fill(CONTEXT)
            upstream.script = Script(said, trouble="stall_midway")
            ask_by_enter(page)
            expect(page.get_by_text("in the shed behind")).to_have_count(2)
            page.keyboard.press("Escape")
            expect(page.locator(".turn").get_by_text("Stopped.")).to_have_count(2)
            upstream.script = Script(said, trouble="cut_midway")
            ask_by_enter(page)
            expect(page.locator(".turn .problem")).to_have_count(2)
            expect(page.get_by_text("in the shed behind")).to_have_count(4)
            engine.close()
            order_without_engine(page, console)
            page.goto(f"{console.url}/status")
            see(page, "down")


def ask_by_enter(page: Page) -> None:
    page.get_by_label("question").fill(QUESTION)
    page.get_by_label("question").press("Enter")


def order_without_engine(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/train")
    page.get_by_label("Program").select_option("arithmetic")
    page.get_by_role("button", name="Estimate the build").click()
    expect(page.get_by_text("failed", exact=True)).to_be_visible()
    expect(page.locator(".problem")).to_contain_text("127.0.0.1")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anybody_out(trained: Console, browser: Browser, scheme: str) -> None:
    """By axe-core's rules, in both schemes; and nothing is wider than a phone."""
    version = trained.house.alias("passage_qa", "champion")
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.set_default_timeout(SECONDS)
    page.goto(f"{trained.url}/train")
    job = page.locator("table a").first.get_attribute("href")
    for path in (
        "/",
        f"/releases/passage_qa/{version}",
        "/train",
        str(job),
        "/test",
        "/status",
        "/jobs/none",
    ):
        page.goto(f"{trained.url}{path}")
        found = Axe().run(page).response
        serious = [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert (path, serious) == (path, []) and len(found["passes"]) > 5
        page.set_viewport_size({"width": PHONE, "height": 844})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert (path, wide) == (path, PHONE)
        page.set_viewport_size({"width": 1280, "height": 900})
    page.close()


def test_a_question_is_asked_by_keyboard_alone(trained: Console, page: Page) -> None:
    page.goto(trained.url)
    press_to(page, "Test")
    page.keyboard.press("Enter")
    expect(page.get_by_label("question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Shift+Tab")
    page.keyboard.type(CONTEXT.replace("\n", " "))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rendered prompt")).to_have_count(2)
    expect(page.get_by_label("question")).to_be_focused()
    expect(page.get_by_role("log", name="Answers")).to_contain_text("Compiled answers: it is")


def test_a_build_is_estimated_by_keyboard_alone(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/train")
    page.get_by_label("Program").focus()
    page.keyboard.type("arith")
    press_to(page, "Estimate the build")
    page.keyboard.press("Enter")
    see(page, "This is what the build will take")


def press_to(page: Page, name: str) -> None:
    """Tab by tab to what has that text, which must be seen to have the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            return
    raise AssertionError(f"{name!r} can't be reached by keyboard")
