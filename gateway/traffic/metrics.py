"""What is counted of the traffic log and of feedback."""

from __future__ import annotations

from gateway.metrics import Metrics


class TrafficMetrics:
    def __init__(self, metrics: Metrics) -> None:
        self.written = metrics.counter("gateway_traffic_written", "Requests written into the traffic log.")
        self.lost = metrics.counter(
            "gateway_traffic_lost", "Requests that the traffic log could not take.", ("reason",)
        )
        self.swept = metrics.counter(
            "gateway_traffic_swept", "Requests deleted from the traffic log because of their age."
        )
        said = ("model", "release")
        self.feedback = metrics.counter(
            "gateway_feedback", "Responses that feedback was given on.", (*said, "kind")
        )
        self.score = metrics.counter("gateway_feedback_score", "Sum of the scores given as feedback.", said)
