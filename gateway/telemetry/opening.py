"""Opens traces where they are configured; only then is anything of OpenTelemetry imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.settings_telemetry import TelemetrySettings
from gateway.errors import StartFailed

if TYPE_CHECKING:
    from gateway.telemetry.traces import Traces


def open_traces(settings: TelemetrySettings) -> Traces | None:
    """None where no endpoint is configured. Raises StartFailed where the libraries are not installed."""
    if settings.endpoint is None:
        return None
    try:
        from gateway.telemetry.traces import Traces
    except ImportError as error:
        raise StartFailed("Traces need OpenTelemetry: pip install 'smallforge[telemetry]'") from error
    return Traces(settings)
