"""A gateway's Prometheus metrics as the compiler reads them: where they are, which are of which release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from engine.launch import Address
from engine.settings import GatewaySettings

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

Series = Mapping[tuple[str, str], float]
"""The values of one release, by the metric's name and the label that tells its series apart."""


def metrics_url(gateway: GatewaySettings) -> str:
    return f"{Address(gateway.metrics_host, gateway.metrics_port).url}/metrics"


def by_release(samples: Iterable[Sample]) -> Mapping[str, Series]:
    """The series of each `program@version`; what belongs to no release goes by its model alone."""
    found: defaultdict[str, defaultdict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        labels = sample.labels
        if "release" in labels:
            program, release = labels["model"].partition("@")[0], labels["release"]
            name = f"{program}@{release}" if release else labels["model"]
            found[name][sample.name, labels.get("status") or labels.get("le") or ""] += sample.value
    return found


def labelled(series: Series, metric: str) -> dict[str, float]:
    """The values of one metric by the label that tells them apart."""
    return {label: value for (name, label), value in series.items() if name == metric}
