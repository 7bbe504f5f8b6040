"""The page says what was counted, in the form Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from portico.observe.log import redact
from portico.observe.metrics import Metrics


def figures(metrics: Metrics) -> dict[tuple[str, frozenset[str]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters() -> None:
    metrics = Metrics()
    metrics.answered("/v1/models", 200, 0.2)
    metrics.answered("/v1/models", 200, 0.3)
    metrics.refused("overloaded")
    metrics.admitted("m")
    metrics.settled("m", "completed", 3, 4, 1_500)
    found = figures(metrics)
    assert found["portico_requests_total", frozenset({"/v1/models", "200"})] == 2
    assert found["portico_refusals_total", frozenset({"overloaded"})] == 1
    assert found["portico_admitted_total", frozenset({"m"})] == 1
    assert found["portico_usage_records_total", frozenset({"m", "completed"})] == 1
    assert found["portico_tokens_total", frozenset({"m", "input"})] == 3
    assert found["portico_tokens_total", frozenset({"m", "output"})] == 4


def test_a_histogram_is_cumulative_and_its_edges_are_included() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.0051, 1.0, 9_999.0):
        metrics.answered("r", 200, seconds)
    found = figures(metrics)
    name = "portico_request_seconds_bucket"
    assert [found[name, frozenset({"r", edge})] for edge in ("0.005", "0.01", "0.5", "1", "+Inf")] == [
        1, 2, 2, 3, 4,
    ]  # fmt: skip
    assert found["portico_request_seconds_count", frozenset({"r"})] == 4


def test_no_figure_of_an_engine_can_make_a_counter_fall() -> None:
    metrics = Metrics()
    metrics.settled("m", "completed", -5, -7, None)
    assert figures(metrics)["portico_tokens_total", frozenset({"m", "output"})] == 0


def test_gauges_are_read_when_asked() -> None:
    metrics = Metrics()
    waiting = [1]
    metrics.gauge("requests_waiting", "Requests in line.", lambda: waiting[0])
    waiting[0] = 7
    assert figures(metrics)["portico_requests_waiting", frozenset()] == 7


def test_calls_of_tools_are_counted_by_what_came_of_them() -> None:
    metrics = Metrics()
    for outcome, seconds in (("answered", 0.2), ("answered", 0.3), ("server_timeout", 60.0)):
        metrics.called(outcome, seconds)
    page = metrics.render().decode()
    assert 'portico_tool_calls_total{outcome="answered"} 2.0' in page
    assert 'portico_tool_calls_total{outcome="server_timeout"} 1.0' in page
    assert 'portico_tool_call_seconds_sum{outcome="answered"} 0.5' in page


def test_no_key_gets_into_a_log_line() -> None:
    key = "pk_live_DGhHAX0GBZBd3VGAdtQ104EaK0yN6SBmi9sVh3bLnA3"
    for text in (f"Bearer {key}", f"key={key}", "sk-abcdefghijklmnop"):
        assert redact(text).endswith("[redacted]")
        assert key not in redact(text)
