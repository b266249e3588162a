"""OpenTelemetry traces of requests, their steps and, by W3C trace context, the engine's work on them."""
