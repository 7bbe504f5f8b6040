"""A metrics page in Prometheus' text form, of a server that is not trusted.  Pure.

Names change between versions of an engine: each figure has all the names it is known to have had,
and what a page does not have is not known.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from portico.engines.load.model import Load
from portico.engines.openai_compatible.server import Kind

_RUNNING: Mapping[Kind, tuple[str, ...]] = {
    "vllm": ("vllm:num_requests_running",),
    "sglang": ("sglang:num_running_reqs",),
    "llamacpp": ("llamacpp:requests_processing",),
}
_WAITING: Mapping[Kind, tuple[str, ...]] = {
    "vllm": ("vllm:num_requests_waiting",),
    "sglang": ("sglang:num_queue_reqs",),
    "llamacpp": ("llamacpp:requests_deferred",),
}
_KV_USED: Mapping[Kind, tuple[str, ...]] = {
    "vllm": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "sglang": ("sglang:token_usage",),
    "llamacpp": ("llamacpp:kv_cache_usage_ratio",),
}
TELLS: frozenset[Kind] = frozenset(_RUNNING)
"""Kinds of server that have such a page."""
_REQUESTS_MAX = 1_000_000_000


def load_on(page: bytes, kind: Kind) -> Load:
    """What `page` says.  A server that is several engines in one says each figure several times:
    requests add up, and of their caches the fullest counts."""
    return Load(
        running=_count(_figures(page, _RUNNING.get(kind, ()), sum)),
        waiting=_count(_figures(page, _WAITING.get(kind, ()), sum)),
        kv_used=_share(_figures(page, _KV_USED.get(kind, ()), max)),
    )


def _figures(
    page: bytes, names: tuple[str, ...], together: Callable[[Iterable[float]], float]
) -> float | None:
    for name in names:
        said = [_number(found) for found in _line_of(name).findall(page)]
        if said:
            return together(said)
    return None


@cache
def _line_of(name: str) -> re.Pattern[bytes]:
    """The value of a sample: behind the name, its labels if any, and a space."""
    return re.compile(rb"(?m)^%b(?:\{[^\n]*\})? +([^\s]{1,40})" % re.escape(name).encode())


def _number(said: bytes) -> float:
    try:
        return float(said)
    except ValueError:
        return math.nan


def _count(value: float | None) -> int | None:
    if value is None or not 0 <= value <= _REQUESTS_MAX:  # neither is not a number
        return None
    return int(value)


def _share(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= 1 else None
