"""What a worker's telemetry server answers."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Telemetry:
    """The pages of one worker on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def get(self, page: str) -> tuple[int, str]:
        """Status and body; status 0 where nobody listens."""
        try:
            with urllib.request.urlopen(f"{self.base}{page}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ok(self, page: str) -> bool:
        """Whether the page answers 200."""
        return self.get(page)[0] == 200

    def status(self) -> dict[str, Any]:
        """The JSON of /status."""
        found: dict[str, Any] = json.loads(self.get("/status")[1])
        return found

    def families(self) -> dict[str, tuple[str, set[str]]]:
        """The type and all label names of each metric, by the name it has in PromQL without a histogram's endings."""
        found: dict[str, tuple[str, set[str]]] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            name = family.name + "_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, labels)
        return found

    def value(self, sample: str, **labels: str) -> float:
        """The sum over a sample's points that have these labels; 0 without any."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        points = (point for family in families for point in family.samples if point.name == sample)
        return sum(point.value for point in points if labels.items() <= point.labels.items())

    def wait(self, enough: Callable[[], object], timeout_s: float = 45) -> None:
        """Until enough is true; AssertionError otherwise."""
        deadline = time.monotonic() + timeout_s
        while not enough():
            assert time.monotonic() < deadline, "waited in vain: " + self.get("/status")[1]
            time.sleep(0.05)
