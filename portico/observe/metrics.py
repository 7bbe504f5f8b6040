"""Counters for Prometheus.  One object per process; label children are looked up once."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What an operator watches.  Emits, decides nothing."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "portico_requests", "Answers sent.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "portico_request_seconds",
            "Arrival to last byte.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first_token = Histogram(
            "portico_time_to_first_token_seconds",
            "Arrival to first token.",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "portico_refusals", "Refusals by code.", ["code"], registry=self.registry
        )
        self._records = Counter(
            "portico_usage_records",
            "Settled usage records.",
            ["model", "outcome"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "portico_tokens", "Tokens metered.", ["model", "direction"], registry=self.registry
        )
        self._admitted = Counter(
            "portico_admitted", "Requests admitted.", ["model"], registry=self.registry
        )
        self._children: dict[tuple[object, ...], Counter | Histogram] = {}

    def gauge(self, name: str, says: str, value: Callable[[], float]) -> None:
        """A figure read at scrape time."""
        Gauge(f"portico_{name}", says, registry=self.registry).set_function(value)

    def gauges(
        self, name: str, says: str, label: str, values: dict[str, Callable[[], float]]
    ) -> None:
        """The same figure for several things, told apart by `label`."""
        gauge = Gauge(f"portico_{name}", says, [label], registry=self.registry)
        for key, value in values.items():
            gauge.labels(key).set_function(value)

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._counter(self._requests, route, str(status)).inc()
        self._histogram(self._seconds, route).observe(seconds)

    def refused(self, code: str) -> None:
        self._counter(self._refusals, code).inc()

    def admitted(self, model: str) -> None:
        self._counter(self._admitted, model).inc()

    def settled(
        self, model: str, outcome: str, input_tokens: int, output_tokens: int, ttft_ms: int | None
    ) -> None:
        self._counter(self._records, model, outcome).inc()
        self._counter(self._tokens, model, "input").inc(input_tokens)
        self._counter(self._tokens, model, "output").inc(output_tokens)
        if ttft_ms is not None:
            self._histogram(self._first_token, model).observe(ttft_ms / 1000)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, family: Counter, *labels: str) -> Counter:
        key = (family, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = family.labels(*labels)
        assert isinstance(child, Counter)
        return child

    def _histogram(self, family: Histogram, *labels: str) -> Histogram:
        key = (family, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = family.labels(*labels)
        assert isinstance(child, Histogram)
        return child
