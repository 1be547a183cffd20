"""What a process beside the workers serves of itself: its own table of metrics, a probe of liveness and /status."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from types import TracebackType
from typing import Any, Self

from worker.settings import Settings
from worker.telemetry.exporters import MetricExporters, resource_of
from worker.telemetry.histograms import Series
from worker.telemetry.instruments import Observer
from worker.telemetry.server import TelemetryServer, document, probe
from worker.telemetry.table import Metric

_CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to serve. name: of the service, by OTLP; liveness: a problem, or None; status: a JSON object."""

    name: str
    default_port: int
    metrics: Sequence[Metric]
    observers: Mapping[Metric, Observer]
    liveness: Callable[[], str | None]
    status: Callable[[], dict[str, Any]]
    histograms: Sequence[Series] = field(default=())


class SmallService:
    """A context: serving inside it. ConfigurationError on entering: the port is taken."""

    def __init__(self, settings: Settings, served: Served) -> None:
        self._settings = settings
        self._served = served
        self._exporters = MetricExporters(
            *(settings, resource_of(settings, served.name), served.histograms, served.observers, served.metrics)
        )
        self._server: TelemetryServer | None = None

    def __enter__(self) -> Self:
        """Start to serve, at telemetry.port, or at the default port where that is not set."""
        given = self._settings.telemetry.port
        port = self._served.default_port if given is None else given
        pages = {
            "/metrics": self._exporters.prometheus,
            "/livez": probe(self._served.liveness),
            "/status": document(self._served.status),
        }
        if port:
            self._server = TelemetryServer(self._settings.telemetry.host, port, pages)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Send what is left and stop serving; a collector that is away does not hold up the end."""
        closing = Thread(target=self._exporters.close, name="telemetry-end", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        if self._server is not None:
            self._server.close()
