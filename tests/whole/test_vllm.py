"""A server behind that is like vLLM: its adapters, its cache, its load."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.conftest import Served
from tests.whole.hi import Hi, saying_hi
from tests.whole.wire import ask, eventually, get

BASE = {"id": "base", "owned_by": "vllm", "max_model_len": 4_096, "parent": None}
SQL = {"id": "sql", "owned_by": "vllm", "parent": "base"}
LOAD = b'vllm:num_requests_running{engine="0"} 3.0\nvllm:kv_cache_usage_perc{engine="0"} 0.5\n'
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def vllm() -> Iterator[Hi]:
    with saying_hi(BASE, SQL, page=LOAD) as server:
        yield server


def test_adapters_salt_and_load(serve: Callable[..., Served], vllm: Hi, tmp_path: Path) -> None:
    env = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_UPSTREAM_LOAD_EVERY_S": "0.1"}
    front = serve("--upstream", vllm.base_url, data_dir=tmp_path / "data", env=env)

    listed = {model["id"] for model in json.loads(get(front, "/v1/models")[2])["data"]}
    assert listed == {"base", "base:sql"}

    for model in ("base", "base:sql"):
        status, headers, _ = ask(
            front, model=model, messages=HELLO, stream=True, cache_salt="mine", priority=-1
        )
        assert status == 200
        assert headers["portico-warnings"] == (
            'not_supported; field="cache_salt"; action=dropped, '
            'not_supported; field="priority"; action=dropped'
        )
    base, adapter = vllm.asked[-2:]
    assert (base["model"], adapter["model"]) == ("base", "sql")
    assert re.fullmatch(r"[0-9a-f]{64}", base["cache_salt"])
    assert base["cache_salt"] != adapter["cache_salt"], "a model's own"
    assert "priority" not in base
    ask(front, model="base", messages=HELLO, stream=True)
    assert vllm.asked[-1]["cache_salt"] == base["cache_salt"], "the same for the same tenant"

    def page() -> str:
        return get(front, "/metrics")[2].decode()

    eventually(lambda: "portico_engine_requests_running" in page())
    assert re.search(r'requests_running{deployment="upstream-1",model="base:sql"} 3.0', page())
    assert re.search(r'kv_cache_used_ratio{deployment="upstream-1",model="base"} 0.5', page())
    assert "portico_engine_requests_waiting{" not in page(), "it does not say"
