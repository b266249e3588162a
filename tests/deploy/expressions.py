"""The PromQL of deploy/: every expression with its place, and the series and labels that it speaks of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ADDED = {"job", "instance"}
DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "smallforge.json"

_SERIES = re.compile(r"\b((?:gateway_|vllm:)\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\bby \(([^)]*)\)")
_SHOWN = re.compile(r"\$labels\.(\w+)|\{\{\s*(\w+)\s*\}\}")


class Expression(NamedTuple):
    place: str
    text: str
    shown: str
    """Legend or summary, which names labels too."""

    def series(self) -> set[str]:
        return {name for name, _ in _SERIES.findall(self.text)}

    def selectors(self) -> set[tuple[str, str]]:
        """Each series with each label that selects among its own."""
        found = _SERIES.findall(self.text)
        return {(name, label) for name, inner in found for label in _MATCHER.findall(inner)}

    def labels(self) -> set[str]:
        """Those that group or are shown, but what Prometheus adds itself."""
        grouping = {label.strip() for inner in _GROUPING.findall(self.text) for label in inner.split(",")}
        shown = {first or second for first, second in _SHOWN.findall(self.shown)}
        return (grouping | shown) - ADDED

    def asked(self) -> str:
        """As Prometheus takes it: without Grafana's variables."""
        return self.text.replace("$__rate_interval", "1m").replace("$model", ".*")


def alerts() -> Iterator[Expression]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield Expression(rule["alert"], rule["expr"], rule["annotations"]["summary"])


def panels() -> Iterator[Expression]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield Expression(f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"])


def expressions() -> list[Expression]:
    return [*alerts(), *panels()]
