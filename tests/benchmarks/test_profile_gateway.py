"""Tests for benchmarks/profile_gateway.py: what a profile is read as."""

from __future__ import annotations

import cProfile
from pathlib import Path

import orjson

from benchmarks.gateway_stand import ROOT, Server, chat
from benchmarks.profile_gateway import Line, by_package, package_of, profiled, read_profile, report
from programs.json_values import write_json


def test_a_function_belongs_to_the_package_of_its_file() -> None:
    assert package_of(str(ROOT / "gateway" / "routes.py")) == "gateway"
    assert package_of(str(Path(orjson.__file__).parent.parent / "aiohttp" / "client.py")) == "aiohttp"
    assert package_of("~") == "built in"
    assert package_of("/usr/lib/python3.11/asyncio/tasks.py") == "standard library"


def test_a_real_profile_is_read_function_by_function(tmp_path: Path) -> None:
    profile = cProfile.Profile()
    for _ in range(3):
        profile.runcall(write_json, {"a": 1})
    profile.dump_stats(tmp_path / "profile")
    found = next(line for line in read_profile(tmp_path / "profile") if "write_json" in line.where)
    assert (found.package, found.calls) == ("programs", 3)


def test_a_report_is_per_request() -> None:
    lines = [
        Line("aiohttp", "aiohttp/client.py:1 post", 20, 0.002),
        Line("gateway", "routes.py:2 call", 10, 0.001),
    ]
    assert by_package(lines) == {"aiohttp": 0.002, "gateway": 0.001}
    text = report(lines, requests=10, most=1)
    assert text.startswith("10 requests; ours 100.0 us each")
    assert "200.0 us    2.00 calls  aiohttp/client.py:1 post" in text and "routes.py" not in text


def test_the_worker_that_is_profiled_serves_as_the_other_does(tmp_path: Path) -> None:
    server = Server(["python", "-m", "gateway", "serve", "--port", "1"], 1, chat("shop"), "/readyz")
    command = list(profiled(server, tmp_path / "profile").command)
    assert command[3:] == ["serve", "--port", "1"] and "dump_stats" in str(command[2])
