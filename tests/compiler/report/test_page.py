from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from compiler.build import build
from compiler.command import main
from compiler.errors import ReportUnavailable
from compiler.events import BuildResult, Finished
from compiler.report.page import Evidence, find_evidence, make_report, read_evidence
from compiler.request import Cast
from programs.errors import ReleaseInvalid, ReleaseNotFound
from tests.compiler.scripted import Adder, Bound, TwoSteps, program, request

SECTIONS = ["contenders", "search", "examples", "errors", "tokens", "prompt", "cost", "data", "repeat"]
HOSTILE = [
    "<script>alert(1)</script>",
    "</svg></style><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x1b[31m\x85\u2028",
    "\u202eevil txt\u202e مرحبا",
    "x" * 50_000,
]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page read as a browser would: what stands where, and what was never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    def ids(self) -> list[str | None]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "section" and "id" in attributes]


async def built(folder: Path, **fields: Any) -> BuildResult:
    asked = request(folder, fields.pop("program", None) or program(), **fields)
    events = [event async for event in build(asked, Cast(Bound(Adder())))]
    assert isinstance(events[-1], Finished)
    return events[-1].result


def evidence_in(result: BuildResult) -> Evidence:
    return read_evidence(find_evidence(result.path))


def hostile(evidence: Evidence) -> Evidence:
    """The same evidence with every text that a user or a model wrote replaced by a hostile one."""
    build = json.loads(json.dumps(dict(evidence.build)))
    build["asked"] |= {"program": HOSTILE[0], "arguments": {HOSTILE[1]: HOSTILE[2]}}
    build["candidate"]["name"] = HOSTILE[1]
    build["stopped"] = build["lowering"]["reason"] = HOSTILE[1]
    build["split"]["notes"] = HOSTILE
    example = {
        "id": 0,
        "inputs": HOSTILE[5],
        "expected": HOSTILE[0],
        "got": HOSTILE[1],
        "feedback": HOSTILE[3],
    }
    build["analysis"] = {"groups": [{"kind": HOSTILE[1], "count": 3, "examples": [example] * 3}]}
    for number, tried in enumerate(build["candidates"]):
        tried["name"] = HOSTILE[number % len(HOSTILE)]
    rows = []
    for number, row in enumerate(evidence.rows):
        text = HOSTILE[number // 2 % len(HOSTILE)]
        told = {"output": {"answer": text}, "expected": {"answer": text}, "error": text, "replies": [text]}
        inputs = {text[:40]: text, "question": text} if row["inputs"] else None
        rows.append({**row, **told, "inputs": inputs, "fault": "program" if number % 5 == 0 else None})
    messages = [{"role": "user", "content": text} for text in HOSTILE]
    return Evidence(build, rows, {"before": {"<b>": messages[:1]}, "after": {"<b>": messages}})


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return asyncio.run(built(tmp_path_factory.mktemp("built"), arguments={"num_candidate_programs": 2}))


def test_a_build_writes_a_report_that_is_digested_with_its_evidence(result: BuildResult) -> None:
    folder = result.path / "evidence" / result.build_id
    assert "report.html" in json.loads((folder / "digests.json").read_text())
    (folder / "report.html").read_text().index("100.0 %")


def test_the_report_drawn_again_from_evidence_is_the_same(result: BuildResult) -> None:
    written = (result.path / "evidence" / result.build_id / "report.html").read_text()
    assert make_report(evidence_in(result)) == written


def test_a_candidate_dropped_before_its_first_example_is_not_called_too_long(result: BuildResult) -> None:
    evidence = evidence_in(result)
    one = {**evidence.build["candidates"][0], "n": 0, "dropped": True}
    shown = [
        make_report(replace(evidence, build={**evidence.build, "candidates": [{**one, "score": score}]}))
        for score in (1.0, 0.0)
    ]
    assert ["too long" in page for page in shown] == [False, True] and "≤ 100.0 %" in shown[0]


def test_the_page_has_every_section_in_order_and_is_balanced(result: BuildResult) -> None:
    page = Page(make_report(evidence_in(result)))
    assert page.ids() == SECTIONS
    assert (page.unbalanced, page.open) == ([], [])
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_from_outside_and_runs_nothing(result: BuildResult) -> None:
    page = Page(make_report(evidence_in(result)))
    assert not {"script", "link", "iframe", "object", "img", "base", "form"} & {tag for tag, _ in page.tags}
    addresses = [*page.attributes("src"), *page.attributes("href")]
    assert all(address and address.startswith("#") for address in addresses)
    assert not re.search(r"url\(\s*[^#)]|@import|https?://(?!www\.w3\.org)", make_report(evidence_in(result)))
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'") and "script" not in policy


def test_every_chart_says_in_words_what_it_shows(result: BuildResult) -> None:
    page = Page(make_report(evidence_in(result)))
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    charts = [one["aria-label"] for one in drawings if one.get("class") == "chart"]
    assert len(charts) == 2 and all(label and label.startswith("Dev score") for label in charts)
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawings)


def test_the_verdict_says_scores_interval_and_test(result: BuildResult) -> None:
    text = " ".join(Page(make_report(evidence_in(result))).text.split())
    assert "scores 100.0 %, up from 50.0 %, on 40 held-out examples: +50.0 points" in text
    assert "McNemar, p < 0.0001; 20 better, 0 worse" in text and "Weak evidence" in text


def test_what_was_fixed_is_shown_with_question_and_answers(result: BuildResult) -> None:
    text = " ".join(Page(make_report(evidence_in(result))).text.split())
    assert "20 Fixed 50.0 %" in text and "20 Right both times" in text and "Broken" not in text
    assert "What is 2001 + 1000? expected 3001 before 3002 after 3001" in text


def test_the_prompt_is_shown_with_what_was_added(result: BuildResult) -> None:
    page = make_report(evidence_in(result))
    assert "demonstration 1" in page and "<ins>[[ ## question ## ]]" in page
    assert "unchanged" in page and "<del>" not in page.partition('id="prompt"')[2].partition("<details")[2]


def test_the_command_that_repeats_the_build_can_be_given(result: BuildResult) -> None:
    text = Page(make_report(evidence_in(result))).text
    command = (
        "compiler build sums --optimizer BootstrapFewShotWithRandomSearch --set num_candidate_programs=2"
    )
    assert f"{command} --seed 0" in text


def test_hostile_texts_run_nothing_and_break_nothing(result: BuildResult) -> None:
    source = make_report(hostile(evidence_in(result)))
    page = Page(source)
    assert (page.unbalanced, page.open) == ([], [])
    assert page.ids() == SECTIONS
    assert not {"script", "img"} & {tag for tag, _ in page.tags} and not page.attributes("onerror")
    assert "&lt;script&gt;alert(1)" in source and "{{ 7 * 7 }}" in source
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", source) and "␀" in source
    assert "(50,000 characters)" in source and len(source.encode()) < 1_500_000


def test_a_page_of_two_thousand_long_rows_stays_small_and_is_drawn_in_time(result: BuildResult) -> None:
    evidence = evidence_in(result)
    rows = []
    for number in range(2000):
        text = f"{number} " + '<&"' * 2000
        for side, score in (("before", number % 2), ("after", number % 3 != 0)):
            row = dict(evidence.rows[0], id=number, program=side, score=float(score), fault=None)
            rows.append(
                row
                | {"inputs": {"q": text, "r": text}, "output": {"answer": text}, "expected": {"answer": text}}
            )
    long = [{"role": "user", "content": "<\n" * 10_000 + str(number)} for number in range(100)]
    begun = time.monotonic()
    page = make_report(
        Evidence(evidence.build, rows, {"before": {"p": long[:50]}, "after": {"p": long[40:]}})
    )
    assert len(page.encode()) < 1_500_000 and time.monotonic() - begun < 3
    assert "the first 25 of" in page and "scorecard.jsonl has all" in page


def test_a_section_without_data_is_left_out(result: BuildResult) -> None:
    evidence = evidence_in(result)
    kept = ("build", "asked", "split", "scores", "spent", "seconds", "libraries")
    page = Page(make_report(Evidence({name: evidence.build[name] for name in kept}, [], {})))
    assert page.ids() == ["contenders", "cost", "data", "repeat"]


async def test_an_interpreted_program_has_a_prompt_for_each_predictor(tmp_path: Path) -> None:
    page = Page(make_report(evidence_in(await built(tmp_path, program=program(TwoSteps), optimizer="none"))))
    text = " ".join(page.text.split())
    assert "Interpreted: served by DSPy" in text and "second.predict" in text
    assert "search" not in page.ids() and "No gain" in text


def test_evidence_of_another_shape_is_one_sentence(result: BuildResult) -> None:
    with pytest.raises(ReportUnavailable, match="the evidence can't be drawn: KeyError: 'scores'"):
        make_report(Evidence({"build": "b"}, [], {}))


def test_the_parts_of_a_metric_are_told_for_everyone(result: BuildResult) -> None:
    build = json.loads(json.dumps(dict(evidence_in(result).build)))
    for one, score in zip(build["contenders"], (0.25, 0.75), strict=True):
        one["summary"]["parts"] = {"<terms>": score}
    text = " ".join(Page(make_report(Evidence(build, [], {}))).text.split())
    assert "partzero-shotcompiled <terms>25.0 %75.0 %" in text


def test_files_that_no_build_wrote_are_one_sentence() -> None:
    for files in ({}, {"build.json": b"{"}):
        with pytest.raises(ReportUnavailable, match="the evidence can't be read"):
            read_evidence(files)


def test_a_changed_or_absent_evidence_is_refused(result: BuildResult, tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match=f"no evidence of a build 'other'; there is: {result.build_id}"):
        find_evidence(result.path, "other")
    copy = tmp_path / result.path.name / "evidence" / "b"
    copy.mkdir(parents=True)
    (copy / "build.json").write_text("{}")
    (copy / "digests.json").write_text('{"build.json": "0"}')
    with pytest.raises(ReleaseInvalid, match="changed"):
        find_evidence(copy.parent.parent)


def test_the_command_writes_the_report_where_it_is_told(result: BuildResult, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    asked = ["report", "sums", "--releases", str(result.path.parent.parent), "--out", str(out)]
    done = CliRunner().invoke(main, [*asked, "--build", result.build_id])
    assert (done.exit_code, done.output) == (0, f"Wrote {out}\n")
    assert out.read_text() == make_report(evidence_in(result))
    refused = CliRunner().invoke(main, [*asked[:-1], str(tmp_path / "absent" / "page.html")])
    assert refused.exit_code != 0 and "absent" in refused.output


def test_without_its_libraries_a_build_goes_on_and_says_how_to_get_them(result: BuildResult) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path; from compiler.report.page import find_evidence, with_report\n"
        "files = find_evidence(Path(sys.argv[1])); del files['report.html']\n"
        "print('report.html' in with_report(files, print))"
    )
    command = [sys.executable, "-c", script, str(result.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "No report.html was written: reports need 'matplotlib', which is not installed: "
        "pip install 'smallforge[compiler]'",
        "False",
    ], done.stderr
