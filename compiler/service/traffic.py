"""What a gateway's Prometheus metrics say of the requests that it has answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from compiler.gateway_metrics import Series, by_release, labelled

_SECONDS = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True)
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
    buckets: Mapping[float, float] = field(default_factory=dict)

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
    samples = [sample for family in families for sample in family.samples]

    def total(metric: str) -> float:
        return sum(sample.value for sample in samples if sample.name == metric)

    found = [_release(name, series) for name, series in by_release(samples).items()]
    ordered = sorted(found, key=lambda one: (-one.requests, one.release))
    return Traffic(
        url,
        tuple(one for one in ordered if one.requests),
        in_flight=int(total("gateway_in_flight_requests")),
        idle_usd=total("gateway_engine_idle_cost_usd_total"),
    )


def _release(name: str, series: Series) -> ReleaseTraffic:
    def total(metric: str) -> float:
        return series.get((metric, ""), 0.0)

    statuses = labelled(series, "gateway_requests_total")
    buckets = labelled(series, "gateway_request_seconds_bucket")
    return ReleaseTraffic(
        name,
        requests=int(sum(statuses.values())),
        failed=int(sum(n for status, n in statuses.items() if status[0] in "45")),
        tokens=total("gateway_tokens_total"),
        usd=total("gateway_cost_usd_total"),
        teacher_usd=total("gateway_teacher_cost_usd_total"),
        overhead=total("gateway_overhead_seconds_sum"),
        measured=total("gateway_request_seconds_count"),
        buckets={float(bound): n for bound, n in buckets.items()},
    )


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
