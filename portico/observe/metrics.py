"""Counters for Prometheus, cheap to count and dear only to read.

A request adds to plain integers; the text format is made when somebody scrapes.  The client
library's own counters take a lock and look up labels on every increment, which cost 5 us of each
request (bench/README.md); here it is well under 1.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
_SAID_BY_ENGINES = {
    "requests_running": "Requests running at the deployment's server, whoever sent them.",
    "requests_waiting": "Requests waiting there.",
    "kv_cache_used_ratio": "Share of its key-value cache that is taken.",
}
_STATES = {"closed": 0, "half_open": 1, "open": 2}
_EDGES = (*(f"{edge:g}" for edge in _SECONDS), "+Inf")


class _Spread:
    """How often each bucket was hit, and the sum."""

    __slots__ = ("hits", "sum_s")

    def __init__(self) -> None:
        self.hits = [0] * len(_EDGES)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.hits[bisect_left(_SECONDS, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        total = 0
        buckets: list[tuple[str, float]] = []
        for edge, hits in zip(_EDGES, self.hits, strict=True):
            total += hits
            buckets.append((edge, total))
        return buckets


class _OfRoute:
    """What is counted of one route's answers."""

    __slots__ = ("seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: defaultdict[int, int] = defaultdict(int)
        self.seconds = _Spread()


class _OfModel:
    """What is counted of one model's requests."""

    __slots__ = ("admitted", "first_token", "records", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.admitted = self.tokens_in = self.tokens_out = 0
        self.records: defaultdict[str, int] = defaultdict(int)
        """By outcome."""
        self.first_token = _Spread()


class Load(Protocol):
    """What a server says of itself; None where it does not say."""

    @property
    def running(self) -> int | None: ...

    @property
    def waiting(self) -> int | None: ...

    @property
    def kv_used(self) -> float | None: ...


class Metrics:
    """What an operator watches.  Emits, decides nothing.  Counted on the event loop only."""

    def __init__(self) -> None:
        self._routes: defaultdict[str, _OfRoute] = defaultdict(_OfRoute)
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._models: defaultdict[str, _OfModel] = defaultdict(_OfModel)
        self._keyed: defaultdict[str, int] = defaultdict(int)
        self._not_stored: defaultdict[str, int] = defaultdict(int)
        self._calls: defaultdict[str, _Spread] = defaultdict(_Spread)
        """Of remote tools, by outcome."""
        self._tries: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.breakers: Callable[[], Iterable[tuple[str, str, str]]] = tuple
        """(model, deployment, state of its breaker) of all there are; none until it is set."""
        self.loads: Callable[[], Iterable[tuple[str, str, Load]]] = tuple
        """(model, deployment, what its server says of itself), of those that say anything."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def gauge(self, name: str, says: str, value: Callable[[], float]) -> None:
        """A figure read at scrape time."""
        Gauge(f"portico_{name}", says, registry=self.registry).set_function(value)

    def answered(self, route: str, status: int, seconds: float) -> None:
        counts = self._routes[route]
        counts.statuses[status] += 1
        counts.seconds.add(seconds)

    def refused(self, code: str) -> None:
        self._refused[code] += 1

    def admitted(self, model: str) -> None:
        self._models[model].admitted += 1

    def settled(
        self, model: str, outcome: str, input_tokens: int, output_tokens: int, ttft_ms: int | None
    ) -> None:
        """An engine that reports less than nothing is not counted: counters only rise."""
        counts = self._models[model]
        counts.records[outcome] += 1
        if input_tokens > 0:
            counts.tokens_in += input_tokens
        if output_tokens > 0:
            counts.tokens_out += output_tokens
        if ttft_ms is not None:
            counts.first_token.add(ttft_ms / 1000)

    def keyed(self, outcome: str) -> None:
        self._keyed[outcome] += 1

    def not_stored(self, reason: str) -> None:
        self._not_stored[reason] += 1

    def called(self, outcome: str, seconds: float) -> None:
        self._calls[outcome].add(seconds)

    def tried(self, model: str, deployment: str, result: str) -> None:
        self._tries[model, deployment, result] += 1

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What the library asks for at a scrape."""
        answered = {
            (route, status): count
            for route, counts in self._routes.items()
            for status, count in counts.statuses.items()
        }
        yield _counter("requests", "Answers sent.", ("route", "status"), answered)
        seconds = {route: counts.seconds for route, counts in self._routes.items()}
        yield _histogram("request_seconds", "Arrival to last byte.", "route", seconds)
        models = self._models.items()
        first_tokens = {
            model: counts.first_token for model, counts in models if any(counts.first_token.hits)
        }
        yield _histogram(
            "time_to_first_token_seconds", "Arrival to first token.", "model", first_tokens
        )
        yield _counter("refusals", "Refusals by code.", ("code",), self._refused)
        admitted = {model: counts.admitted for model, counts in models if counts.admitted}
        yield _counter("admitted", "Requests admitted.", ("model",), admitted)
        records = {
            (model, outcome): count
            for model, counts in models
            for outcome, count in counts.records.items()
        }
        yield _counter("usage_records", "Settled usage records.", ("model", "outcome"), records)
        yield _counter(
            "idempotent_requests",
            "Requests that named an Idempotency-Key: ran, replayed, or why they were refused.",
            ("outcome",),
            self._keyed,
        )
        yield _counter(
            "idempotent_answers_not_stored",
            "Answers under a key that a retry will not get.",
            ("reason",),
            self._not_stored,
        )
        tokens = {(model, "input"): counts.tokens_in for model, counts in models if counts.records}
        tokens |= {
            (model, "output"): counts.tokens_out for model, counts in models if counts.records
        }
        yield _counter("tokens", "Tokens metered.", ("model", "direction"), tokens)
        calls = {outcome: sum(spread.hits) for outcome, spread in self._calls.items()}
        yield _counter("tool_calls", "Calls of remote tools.", ("outcome",), calls)
        yield _histogram("tool_call_seconds", "What they took.", "outcome", self._calls)
        where = ("model", "deployment")
        yield _counter("tries", "Deployments asked, by result.", (*where, "result"), self._tries)
        breakers = GaugeMetricFamily(
            "portico_breaker",
            "Is the deployment asked?  0: yes; 1: by one request, to find out; 2: no.",
            labels=where,
        )
        for model, deployment, state in self.breakers():
            breakers.add_metric([model, deployment], _STATES[state])
        yield breakers
        yield from _loads(self.loads())


def _loads(told: Iterable[tuple[str, str, Load]]) -> Iterable[Metric]:
    """What a server does not say has no sample: it is not 0."""
    families = {
        name: GaugeMetricFamily(f"portico_engine_{name}", says, labels=("model", "deployment"))
        for name, says in _SAID_BY_ENGINES.items()
    }
    for model, deployment, load in told:
        said = (load.running, load.waiting, load.kv_used)
        for family, value in zip(families.values(), said, strict=True):
            if value is not None:
                family.add_metric([model, deployment], value)
    return families.values()


def _counter(
    name: str,
    says: str,
    labels: tuple[str, ...],
    counts: dict[tuple[str, int], int]
    | dict[tuple[str, str], int]
    | dict[tuple[str, str, str], int]
    | dict[str, int],
) -> Metric:
    family = CounterMetricFamily(f"portico_{name}", says, labels=labels)
    for key, count in counts.items():
        values = key if isinstance(key, tuple) else (key,)
        family.add_metric([str(value) for value in values], count)
    return family


def _histogram(name: str, says: str, label: str, spreads: dict[str, _Spread]) -> Metric:
    family = HistogramMetricFamily(f"portico_{name}", says, labels=(label,))
    for key, spread in spreads.items():
        family.add_metric([key], spread.cumulative(), spread.sum_s)
    return family
