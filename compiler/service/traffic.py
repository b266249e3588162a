"""What a gateway's Prometheus metrics say of the requests that it has answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = aiohttp.ClientTimeout(total=2.0)
_SUM_OF = {
    "gateway_cost_usd_total": "usd",
    "gateway_teacher_cost_usd_total": "teacher_usd",
    "gateway_tokens_total": "tokens",
    "gateway_overhead_seconds_sum": "overhead",
    "gateway_request_seconds_count": "measured",
}


@dataclass
class ReleaseTraffic:
    """What one release has answered; `teacher_usd` is what its teacher would have taken, 0 if unknown."""

    release: str
    requests: int = 0
    failed: int = 0
    tokens: float = 0.0
    usd: float = 0.0
    teacher_usd: float = 0.0
    overhead: float = 0.0
    measured: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    def seconds(self, share: float) -> float | None:
        """About the time within which that share of the requests was answered."""
        return _quantile(self.buckets, share)

    @property
    def overhead_seconds(self) -> float | None:
        return self.overhead / self.measured if self.measured else None


@dataclass(frozen=True)
class Traffic:
    """All of a gateway's; `problem` says why there is nothing to show."""

    url: str
    releases: tuple[ReleaseTraffic, ...] = ()
    in_flight: int = 0
    idle_usd: float = 0.0
    problem: str | None = None

    @property
    def usd(self) -> float:
        return sum(one.usd for one in self.releases) + self.idle_usd

    @property
    def saved_usd(self) -> float:
        """Against the teachers, for the answers of releases whose teacher was measured and has a price."""
        return sum(one.teacher_usd - one.usd for one in self.releases if one.teacher_usd)


async def read_traffic(url: str) -> Traffic:
    """What the metrics at the address say; never raises for a gateway that is not there."""
    try:
        async with aiohttp.ClientSession(timeout=_SECONDS) as session, session.get(url) as answer:
            text = await answer.text()
            if answer.status != 200:
                return Traffic(url, problem=f"The gateway's metrics at {url} answered with {answer.status}.")
        return traffic_of(url, text_string_to_metric_families(text))
    except (aiohttp.ClientError, TimeoutError):
        return Traffic(url, problem=f"No gateway answers at {url}; `gateway serve` starts one.")
    except ValueError:
        return Traffic(url, problem=f"What answers at {url} are no metrics.")


def traffic_of(url: str, families: Iterable[Metric]) -> Traffic:
    found: dict[str, ReleaseTraffic] = {}
    in_flight, idle = 0, 0.0
    for sample in (sample for family in families for sample in family.samples):
        labels: Mapping[str, str] = sample.labels
        if sample.name == "gateway_in_flight_requests":
            in_flight += int(sample.value)
        elif sample.name == "gateway_engine_idle_cost_usd_total":
            idle += sample.value
        elif "release" in labels:
            name = f"{labels['model'].partition('@')[0]}@{labels['release']}"
            release = found.setdefault(name, ReleaseTraffic(name))
            _add(release, sample.name, labels, sample.value)
    ordered = sorted(found.values(), key=lambda one: (-one.requests, one.release))
    return Traffic(url, tuple(one for one in ordered if one.requests), in_flight, idle)


def _add(release: ReleaseTraffic, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == "gateway_requests_total":
        release.requests += int(value)
        release.failed += int(value) if labels["status"][:1] in "45" else 0
    elif name == "gateway_request_seconds_bucket":
        bound = float(labels["le"])
        release.buckets[bound] = release.buckets.get(bound, 0.0) + value
    elif name in _SUM_OF:
        setattr(release, _SUM_OF[name], getattr(release, _SUM_OF[name]) + value)


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """As Prometheus reckons it: straight lines within a bucket."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    below, lower = 0.0, 0.0
    for bound in bounds:
        if total and buckets[bound] >= share * total:
            within = buckets[bound] - below
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * ((share * total - below) / within if within else 1.0)
        below, lower = buckets[bound], bound
    return None
