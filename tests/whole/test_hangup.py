"""Whoever hangs up, whenever: the engine stops, what was made is metered, nothing leaks."""

import random

import pytest

from tests.whole.conftest import Served
from tests.whole.wire import Wire, eventually, metric, question


def settled(served: Served, streams: int, before: float) -> None:
    """Every stream started has its record, once, and gave its place back."""
    records = "portico_usage_records_total"
    eventually(lambda: metric(served, records) >= before + streams)
    eventually(lambda: metric(served, "portico_requests_running") == 0)
    assert metric(served, records) == before + streams
    assert metric(served, "portico_records_open") == 0


def hang_up_at_random(served: Served, model: str, runs: int, tokens: int) -> None:
    dice = random.Random(7)
    before = metric(served, "portico_usage_records_total")
    for _ in range(runs):
        wire = Wire(served).ask(
            model=model,
            messages=question(f"Tell me a long story. [[sim tokens={tokens} delay_ms=2]]"),
            max_tokens=tokens,
            ignore_eos=True,
            stream=True,
        )
        wire.read_until(b"data: ", dice.randint(1, 12))
        wire.hang_up()
    settled(served, runs, before)


@pytest.mark.parametrize("model", ["portico-demo", "sim-lorem"])
def test_streams_started_are_usage_records(served: Served, model: str) -> None:
    sockets = metric(served, "process_open_fds")
    before = served.cli("usage")["total"]
    hang_up_at_random(served, model, runs=25, tokens=400)
    after = served.cli("usage")["total"]
    assert after["requests"] - before["requests"] == 25
    made = after["output_tokens"] - before["output_tokens"]
    assert 25 <= made < 25 * 400, "metered for what was made, and made to stop"
    # Pooled engine connections and database readers stay open, not one per stream.
    eventually(lambda: metric(served, "process_open_fds") <= sockets + 8)


@pytest.mark.long
@pytest.mark.parametrize("model", ["portico-demo", "sim-lorem"])
@pytest.mark.timeout(600)
def test_a_thousand_of_a_thousand(served: Served, model: str) -> None:
    hang_up_at_random(served, model, runs=1_000, tokens=400)


def test_hang_up_before_the_first_token(served: Served) -> None:
    before = metric(served, "portico_usage_records_total")
    wire = Wire(served).ask(
        model="sim-slow", messages=question("hi [[sim first_ms=60000]]"), stream=True
    )
    eventually(lambda: metric(served, "portico_requests_running") == 1)
    wire.hang_up()
    settled(served, 1, before)
    newest = served.cli("usage", "--list", "1")["records"][0]
    assert (newest["outcome"], newest["output_tokens"]) == ("client_gone", 0)


def test_hang_up_on_an_answer_that_is_not_streamed(served: Served) -> None:
    before = metric(served, "portico_usage_records_total")
    wire = Wire(served).ask(model="sim-stall", messages=question("hi"))
    eventually(lambda: metric(served, "portico_requests_running") == 1)
    wire.hang_up()
    settled(served, 1, before)
