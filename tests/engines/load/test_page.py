"""Metrics pages of three engines, and of none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.engines.load.model import Load
from portico.engines.load.page import load_on

UNKNOWN = Load()
VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/{odd} name"} 3.0
vllm:num_requests_running{engine="1",model_name="org/{odd} name"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
"""
SGLANG = b"""sglang:num_running_reqs{model_name="m"} 4.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:token_usage{model_name="m"} 0.125
"""
LLAMACPP = b"""# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
llamacpp:requests_deferred 5 1795266907000
llamacpp:n_busy_slots_per_decode 1
"""


@pytest.mark.parametrize(
    ("kind", "page", "load"),
    [
        ("vllm", VLLM, Load(5, 0, 0.5)),
        ("vllm", VLLM.replace(b"kv_cache_usage_perc", b"gpu_cache_usage_perc"), Load(5, 0, 0.5)),
        ("sglang", SGLANG, Load(4, 1, 0.125)),
        ("llamacpp", LLAMACPP, Load(2, 5, None)),
        ("generic", VLLM, UNKNOWN),
        ("sglang", VLLM, UNKNOWN),
    ],
)
def test_each_engine_is_read_by_its_own_names(kind, page, load):
    assert load_on(page, kind) == load
    assert load_on(page.replace(b"\n", b"\r\n"), kind) == load


@pytest.mark.parametrize(
    "value", ["NaN", "+Inf", "-1", "1e300", "x", "", "0x10", "9" * 50, "1_0_0_0_0_0_0_0_0_0_0_0"]
)
def test_what_makes_no_sense_is_not_known(value):
    page = f"vllm:num_requests_running {value}\nvllm:kv_cache_usage_perc {value}\n".encode()
    assert load_on(page, "vllm") == UNKNOWN


def test_a_share_beyond_the_whole_is_not_known():
    assert load_on(b"sglang:token_usage 1.01\n", "sglang") == UNKNOWN


@settings(deadline=None)
@given(
    st.binary()
    | st.floats().map(
        lambda said: b"vllm:num_requests_running %a\nvllm:kv_cache_usage_perc %a\n" % (said, said)
    )
)
def test_any_bytes_are_a_page(page):
    for kind in ("vllm", "sglang", "llamacpp", "generic"):
        for load in (load_on(page, kind), load_on(VLLM[:150] + page, kind)):
            assert all(each is None or each >= 0 for each in (load.running, load.waiting))
            assert load.kv_used is None or 0 <= load.kv_used <= 1


@pytest.mark.parametrize("line", [b"{" * 1_000_000, b"{" + b"} " * 500_000, b" " * 1_000_000])
def test_a_line_of_a_million_is_read_once(line):
    assert load_on(b"vllm:num_requests_running" + line, "vllm") == UNKNOWN
