"""The benchmark's arithmetic: ratios are taken inside a round, and a limit cannot be passed by silence."""

import json
from dataclasses import replace

import pytest
from lab import rules
from lab.model import ANSWER, PACED, BenchError, Row, Turn, chat_body, image_body, scenarios


def turn(server: str, number: int, cpu_us: int | None, **other: object) -> Turn:
    plain = Turn(
        scenario="json",
        server=server,
        round=number,
        work=100,
        window_us=1_000_000,
        cpu_us=cpu_us,
        others_share=0.0,
        p50_us=200,
        p99_us=500,
        errors=0,
        note="",
    )
    return replace(plain, **other)  # type: ignore[arg-type]  # a test names the fields it changes


def test_drift_that_hits_a_whole_round_leaves_the_ratio_alone() -> None:
    turns = [
        turn("nginx", 0, 2_000),
        turn("door", 0, 5_000),
        turn("door", 1, 15_000),  # the machine was three times slower in this round, for both
        turn("nginx", 1, 6_000),
        turn("nginx", 2, 2_000),
        turn("door", 2, 6_000),
    ]
    door = rules.row("json", "door", turns).figures
    assert (door["ratio"], door["ratio_lowest"], door["ratio_highest"]) == (2.5, 2.5, 3.0)
    assert door["cpu_us"] == 60.0
    assert rules.row("json", "nginx", turns).figures["ratio"] == 1.0


def test_added_latency_is_counted_against_the_direct_turn_of_the_same_round() -> None:
    turns = [
        turn("direct", 0, None, p50_us=100, p99_us=300),
        turn("direct", 1, None, p50_us=900, p99_us=4_000),
        turn("door", 0, 1, p50_us=400, p99_us=900),
        turn("door", 1, 1, p50_us=1_200, p99_us=4_400),
    ]
    door = rules.row("json", "door", turns).figures
    assert (door["added_p50_us"], door["added_p99_us"]) == (300, 500)
    assert "added_p50_us" not in rules.row("json", "direct", turns).figures


def test_a_server_whose_cpu_is_unknown_has_no_ratio_instead_of_a_wrong_one() -> None:
    turns = [turn("nginx", 0, 2_000), turn("door", 0, None), turn("lazy", 0, 10, work=0)]
    assert rules.row("json", "door", turns).figures["ratio"] is None
    assert rules.row("json", "lazy", turns).figures["cpu_us"] is None


def test_idle_divides_memory_by_the_streams_that_were_open() -> None:
    idle = {"scenario": "idle", "work": 0}
    memory = {"base_kb": 20_480, "open_kb": 50_480, "streams": 1_000}
    turns = [
        turn("nginx", 0, 0, **idle, base_kb=10_000, open_kb=25_000, streams=1_000),
        turn("door", 0, 1_000, **idle, **memory),
    ]
    door = rules.row("idle", "door", turns).figures
    assert (door["kb_per_stream"], door["base_mb"]) == (30.0, 20.0)
    assert (door["ratio"], door["cpu_at_rest_share"]) == (2.0, 0.001)
    unopened = [turn("door", 0, 1_000, **idle, **memory | {"streams": 0})]
    assert rules.row("idle", "door", unopened).figures["kb_per_stream"] is None


def test_a_peer_is_compared_with_us_round_by_round() -> None:
    turns = [
        turn("door", 0, 5_000),
        turn("peer", 0, 500_000),
        turn("door", 1, 10_000),
        turn("peer", 1, 900_000),
    ]
    assert rules.times_dearer(turns, "peer", "door") == {"json": 95.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("json=3.5", rules.Limit("json", "ratio", 3.5)),
        ("stream.p99_us=10000", rules.Limit("stream", "p99_us", 10_000.0)),
    ],
)
def test_a_limit_is_a_ratio_unless_it_names_a_figure(text: str, expected: rules.Limit) -> None:
    assert rules.limit(text) == expected


@pytest.mark.parametrize("text", ["json", "json=", "json=fast", "=x"])
def test_a_limit_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="expected SCENARIO=NUMBER"):
        rules.limit(text)


def test_a_figure_that_was_not_measured_breaks_its_limit() -> None:
    table = [
        Row("json", "door", {"ratio": 3.6}),
        Row("json", "good", {"ratio": 3.5}),
        Row("json", "dark", {"ratio": None}),
    ]
    limits = [rules.limit("json=3.5"), rules.limit("stream=2.5")]
    assert rules.broken(limits, table, ["door", "good", "dark"]) == [
        "door: json.ratio is 3.60, limit 3.5",
        "dark: json.ratio was not measured",
        "door: stream.ratio was not measured",
        "good: stream.ratio was not measured",
        "dark: stream.ratio was not measured",
    ]


def test_a_slow_peer_gets_fewer_streams_but_the_same_requests() -> None:
    every = scenarios(quick=False, window_s=2.0, streams=1_000, idle=1_000)
    scaled = {name: scenario.scaled(0.04, 0.1) for name, scenario in every.items()}
    assert scaled["stream"].connections == 40
    assert scaled["idle"].connections == 100
    assert scaled["rate"].rate_per_s == 8
    assert scaled["json"] == every["json"]
    assert scaled["burst"] == every["burst"]


def test_the_bodies_are_what_the_guide_says_they_are() -> None:
    small, paced = json.loads(chat_body(ANSWER)), json.loads(chat_body(PACED))
    assert 800 <= len(chat_body(ANSWER)) <= 1_000
    assert len(small["messages"]) == 6
    assert "stream" not in small
    assert (paced["stream"], paced["stream_options"]) == (True, {"include_usage": True})
    assert 1_000_000 <= len(image_body(ANSWER)) <= 1_100_000
