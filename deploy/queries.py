"""PromQL of the dashboard, made from the worker's metric table, so that a metric that is renamed takes it along."""

from dataclasses import dataclass

from worker.telemetry.table import Kind, Metric, prometheus_label

# Grafana puts in the instances chosen on the page.
SELECTED = '{job="proguard",instance=~"$instance"}'
INTERVAL = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or family of lines, of a panel. legend: Grafana's template."""

    expression: str
    legend: str


def _by(*attributes: str) -> str:
    return f" by ({', '.join(prometheus_label(each) for each in attributes)})" if attributes else ""


def _legend(fallback: str, *attributes: str) -> str:
    return " ".join(f"{{{{{prometheus_label(each)}}}}}" for each in attributes) or fallback


def rate(metric: Metric, *by: str, legend: str = "") -> Query:
    """A counter a second, summed but for the attributes in by."""
    expression = f"sum{_by(*by)} (rate({metric.prometheus_name}{SELECTED}[{INTERVAL}]))"
    return Query(expression, legend or _legend("a second", *by))


def level(metric: Metric, *by: str, combine: str = "sum", legend: str = "") -> Query:
    """A gauge, combined (sum, max, min) but for the attributes in by."""
    expression = f"{combine}{_by(*by)} ({metric.prometheus_name}{SELECTED})"
    return Query(expression, legend or _legend("now", *by))


def quantiles(metric: Metric, *by: str) -> list[Query]:
    """p50, p95 and p99 of a histogram."""
    labels = ", ".join(["le", *(prometheus_label(each) for each in by)])
    buckets = f"sum by ({labels}) (rate({metric.prometheus_name}_bucket{SELECTED}[{INTERVAL}]))"
    suffix = " " + _legend("", *by) if by else ""
    return [Query(f"histogram_quantile({share / 100}, {buckets})", f"p{share}{suffix}") for share in (50, 95, 99)]


def mean(metric: Metric, legend: str = "mean") -> Query:
    """The mean of a histogram's values."""
    sums = [f"sum (rate({metric.prometheus_name}_{part}{SELECTED}[{INTERVAL}]))" for part in ("sum", "count")]
    return Query(" / ".join(sums), legend)


def share(part: Metric, whole: Metric, legend: str) -> Query:
    """One counter's rate as a share of another's."""
    return Query(f"{rate(part).expression} / {rate(whole).expression}", legend)


def names_of(metric: Metric) -> set[str]:
    """Every series name under which Prometheus keeps a metric."""
    name = metric.prometheus_name
    return {f"{name}_{part}" for part in ("bucket", "sum", "count")} if metric.kind is Kind.HISTOGRAM else {name}
