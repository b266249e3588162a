"""What a fleet tells Prometheus: one series for each engine that the configuration names."""

from __future__ import annotations

from functools import partial

from gateway.metrics import Metrics

_MEMBER = ("engine", "member")


class FleetMetrics:
    """Made where the first fleet is. `member` is host and port of an engine's URL."""

    def __init__(self, metrics: Metrics) -> None:
        gauge, counter = metrics.gauge, metrics.counter
        self.in_flight = gauge("gateway_engine_in_flight_calls", "Calls an engine works on.", _MEMBER)
        self.available = gauge(
            "gateway_engine_available",
            "1 where calls are sent to an engine, 0 where not.",
            _MEMBER,
            "livemin",
        )
        self.waiting = gauge("gateway_engine_waiting_calls", "Calls that wait for room.", ("engine",))
        self.ejections = counter(
            "gateway_engine_ejections", "Times an engine was left alone after failures in a row.", _MEMBER
        )
        self.retries = counter(
            "gateway_engine_retries", "Calls that were asked again, at another engine.", ("engine", "reason")
        )
        self.refused = counter(
            "gateway_engine_refused_calls", "Calls that found all engines full.", ("engine", "reason")
        )


class Series:
    """The series of one fleet, bound to its engine's name."""

    def __init__(self, metrics: FleetMetrics, engine: str) -> None:
        self.waiting = metrics.waiting.labels(engine)
        self.retries = partial(metrics.retries.labels, engine)
        self.refused = partial(metrics.refused.labels, engine)
        self.of_member = partial(MemberSeries, metrics, engine)


class MemberSeries:
    def __init__(self, metrics: FleetMetrics, engine: str, member: str) -> None:
        self.in_flight = metrics.in_flight.labels(engine, member)
        self.available = metrics.available.labels(engine, member)
        self.ejections = metrics.ejections.labels(engine, member)
