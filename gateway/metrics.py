"""The gateway's Prometheus metrics: seconds, USD, tokens; nothing that names an end user.

The values live in prometheus-client's multiprocess files when PROMETHEUS_MULTIPROC_DIR was set before the
library was first imported (the command does that), so several workers add up; else in this process. Every
request of a release uses children that were bound when the release was loaded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.metrics_port import MetricsThread

if TYPE_CHECKING:
    from gateway.accounting.cost import MeteredStudent
    from gateway.visit import Visit

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)
_RELEASE = ("model", "release")


class Metrics:
    """All metrics of one gateway. `shared` is the folder of the multiprocess files, if there are any."""

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._own = CollectorRegistry(auto_describe=False)
        self.requests = self.counter("gateway_requests", "Requests answered.", (*_RELEASE, "status"))
        self.request_seconds = self._histogram("gateway_request_seconds", "Whole time of a request.")
        self.overhead_seconds = self._histogram(
            "gateway_overhead_seconds", "Time of a request spent in the gateway itself.", _OVERHEAD_BUCKETS
        )
        self.upstream_seconds = self._histogram(
            "gateway_upstream_seconds", "Time of a request spent on the engine."
        )
        self.first_token_seconds = self._histogram(
            "gateway_time_to_first_token_seconds",
            "Time to the first streamed text of an answer or its reasoning.",
        )
        self.in_flight = self.gauge("gateway_in_flight_requests", "Requests being worked on.", ())
        self.tokens = self.counter(
            "gateway_tokens", "Tokens by direction.", (*_RELEASE, "direction", "cached")
        )
        self.cost = self.counter("gateway_cost_usd", "What the engine's work cost.", _RELEASE)
        self.teacher_cost = self.counter(
            "gateway_teacher_cost_usd",
            "What the release's teacher would have cost for the same answers.",
            _RELEASE,
        )
        self.idle_cost = self.counter(
            "gateway_engine_idle_cost_usd", "Cost of an engine's time without requests.", ("engine",)
        )
        self.cost_unknown = self.counter(
            "gateway_cost_unknown", "Requests whose cost can't be known.", _RELEASE
        )
        self.parse_failures = self.counter(
            "gateway_parse_failures", "Replies without the declared outputs.", _RELEASE
        )
        self.check_failures = self.counter(
            "gateway_check_failures", "Requests whose every answer broke a check of the program.", _RELEASE
        )
        self.check_retries = self.counter(
            "gateway_check_retries",
            "Times a model was asked again because its answer broke a check.",
            _RELEASE,
        )
        self.limit_failures = self.counter(
            "gateway_limit_failures", "Requests whose program took more steps or time than it may.", _RELEASE
        )
        self.upstream_errors = self.counter(
            "gateway_upstream_errors", "Failed calls of an engine.", ("reason",)
        )
        self.student_mismatches = self.counter(
            "gateway_student_mismatches", "Checks that found another student than a release was built for.",
            (*_RELEASE, "kind"),
        )  # fmt: skip
        self.canary_rollbacks = self.counter(
            "gateway_canary_rollbacks", "Canaries ended because a guard was broken.", (*_RELEASE, "guard")
        )

    def for_release(self, model: str, release: str) -> ReleaseMetrics:
        return ReleaseMetrics(self, model, release)

    def finished(self, visit: Visit) -> None:
        """Counts a request that is over, with all it took."""
        error, errand = visit.error, visit.errand
        if error is not None and error.reason is not None:
            self.upstream_errors.labels(error.reason).inc()
        if errand is None:
            self.requests.labels("unknown", "", str(visit.status)).inc()
            return
        account = errand.account
        account.metrics.book(visit.status, visit.seconds, account.student, account.teacher_usd)

    def registry(self) -> CollectorRegistry:
        """What a scrape reads: every process's values."""
        if self._shared is None:
            return self._own
        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, str(self._shared))  # type: ignore[no-untyped-call]
        return registry

    def text(self) -> str:
        return generate_latest(self.registry()).decode()

    def listener(self, host: str, port: int) -> AbstractContextManager[int]:
        """Serves /metrics on its own port and thread; gives the port. Raises StartFailed."""
        return MetricsThread(host, port, self.registry()).serving()

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """One of these, or one that a part of the gateway brings along where it is configured."""
        return Counter(name, text, labels, registry=self._own)

    def gauge(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        over_workers: Literal["livesum", "livemin"] = "livesum",
    ) -> Gauge:
        """The same of a number that goes up and down."""
        return Gauge(name, text, labels, registry=self._own, multiprocess_mode=over_workers)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...] = _REQUEST_BUCKETS) -> Histogram:
        return Histogram(name, text, _RELEASE, buckets=buckets, registry=self._own)


class ReleaseMetrics:
    """The children of one release; looking a child up costs more than adding to it."""

    def __init__(self, metrics: Metrics, model: str, release: str) -> None:
        labels = (model, release)
        self.model, self.release = labels
        self._metrics = metrics
        self._labels = labels
        self._statuses: dict[int, Counter] = {}
        self.request_seconds = metrics.request_seconds.labels(*labels)
        self.overhead_seconds = metrics.overhead_seconds.labels(*labels)
        self.upstream_seconds = metrics.upstream_seconds.labels(*labels)
        self.first_token_seconds = metrics.first_token_seconds.labels(*labels)
        self.prompt_tokens = metrics.tokens.labels(*labels, "input", "false")
        self.cached_tokens = metrics.tokens.labels(*labels, "input", "true")
        self.completion_tokens = metrics.tokens.labels(*labels, "output", "false")
        self.parse_failures = metrics.parse_failures.labels(*labels)
        self.check_failures = metrics.check_failures.labels(*labels)
        self.check_retries = metrics.check_retries.labels(*labels)
        self.limit_failures = metrics.limit_failures.labels(*labels)

    # Bound at first use: a series that stands at 0 would say that something is known to be free.
    @cached_property
    def cost(self) -> Counter:
        return self._metrics.cost.labels(*self._labels)

    @cached_property
    def cost_unknown(self) -> Counter:
        return self._metrics.cost_unknown.labels(*self._labels)

    @cached_property
    def teacher_cost(self) -> Counter:
        return self._metrics.teacher_cost.labels(*self._labels)

    def count(self, status: int) -> None:
        child = self._statuses.get(status)
        if child is None:
            child = self._statuses[status] = self._metrics.requests.labels(*self._labels, str(status))
        child.inc()

    def book(self, status: int, seconds: float, student: MeteredStudent, teacher_usd: float | None) -> None:
        """Counts one finished request with all it took, whatever its end."""
        self.count(status)
        self.request_seconds.observe(seconds)
        if not student.calls:
            return
        self.upstream_seconds.observe(student.seconds)
        self.overhead_seconds.observe(max(0.0, seconds - student.seconds))
        tokens = student.tokens
        if tokens is not None:
            cached = tokens.cached or 0
            self.prompt_tokens.inc(tokens.prompt - cached)
            self.completion_tokens.inc(tokens.completion)
            if cached:
                self.cached_tokens.inc(cached)
        if student.usd is None:
            self.cost_unknown.inc()
        else:
            self.cost.inc(student.usd)
        if teacher_usd is not None and status == 200:
            self.teacher_cost.inc(teacher_usd * student.runs)

    def count_mismatch(self, kind: str) -> None:
        self._metrics.student_mismatches.labels(*self._labels, kind).inc()
