"""Tests for engine/settings_telemetry.py: the form of the log, and where traces go."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsInvalid
from engine.settings import GatewaySettings, read_settings
from engine.settings_familiar import from_familiar
from engine.settings_telemetry import TelemetrySettings


def read(folder: Path, text: str) -> GatewaySettings:
    file = folder / "smallforge.toml"
    file.write_text(text)
    return read_settings(file).gateway


def test_by_default_the_log_is_for_people_and_nothing_is_traced(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert (settings.log_format, settings.access_log) == ("text", False)
    assert settings.telemetry.traces_url is None


@pytest.mark.parametrize("endpoint", ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"])
def test_traces_go_to_opentelemetrys_path_of_the_endpoint(endpoint: str, tmp_path: Path) -> None:
    settings = read(tmp_path, f'[gateway.telemetry]\nendpoint = "{endpoint}"\nsample = 0.25')
    assert settings.telemetry.traces_url == "http://c:4318/v1/traces"
    assert settings.telemetry == TelemetrySettings(endpoint, 0.25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[gateway]\nlog_format = "xml"', "gateway.log_format = 'xml': input should be 'text' or 'json'"),
        ("[gateway.telemetry]\nsample = 2", "gateway.telemetry.sample = 2: input should be less"),
        ("[gateway.telemetry]\ncontent = true", "without an endpoint nothing is traced"),
        ('[gateway.telemetry]\nendpoint = "c:4318"', "'c:4318' is no address"),
        ("[gateway.telemetry]\nsampel = 0.5", "did you mean 'sample'?"),
    ],
)
def test_a_mistake_is_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=said.replace("?", "[?]")):
        read(tmp_path, text)


def test_opentelemetrys_own_variable_names_the_endpoint() -> None:
    found = from_familiar({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {})
    assert found == {"gateway": {"telemetry": {"endpoint": "http://c:4318"}}}
