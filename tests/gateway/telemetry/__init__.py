"""Tests for gateway/telemetry."""
