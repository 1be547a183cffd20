"""Everything of telemetry that runs: exporters, the HTTP server and the watchdog, from first to last."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from worker.settings import Settings
from worker.telemetry.exporters import Exporters
from worker.telemetry.instruments import Observer
from worker.telemetry.server import TelemetryServer, document, probe
from worker.telemetry.table import Metric
from worker.telemetry.telemetry import Telemetry
from worker.telemetry.watchdog import Watchdog


class TelemetryService:
    """A context: serving inside it. ConfigurationError on entering where the port is taken."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        observers: Mapping[Metric, Observer],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._settings = settings
        self._health = telemetry.health
        self._status = status
        self.exporters = Exporters(settings, telemetry, observers)
        self._watchdog = Watchdog(telemetry.health, settings.telemetry.stuck_after_s)
        self._server: TelemetryServer | None = None

    def __enter__(self) -> Self:
        """Start to serve and to watch."""
        pages = {
            "/metrics": self.exporters.prometheus,
            "/livez": probe(self._health.liveness),
            "/readyz": probe(self._health.readiness),
            "/startupz": probe(self._health.startup),
            "/status": document(self._status),
        }
        if self._settings.telemetry_port:
            self._server = TelemetryServer(self._settings.telemetry.host, self._settings.telemetry_port, pages)
        self._watchdog.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Send what is left and stop serving."""
        self._watchdog.close()
        self.exporters.close()
        if self._server is not None:
            self._server.close()
