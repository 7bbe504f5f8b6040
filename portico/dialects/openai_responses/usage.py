"""Usage as Responses tells it: input counts what was cached, output what was thought."""

from typing import Any

from portico.canon.usage import Meters


def usage_of(meters: Meters) -> dict[str, Any]:
    """An engine's figures below zero are told as zero: clients count with them."""
    given, made = max(0, meters.input_tokens), max(0, meters.output_tokens)
    written = meters.input_cache_write_5m + meters.input_cache_write_1h
    return {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": max(0, meters.input_cache_read),
            "cache_write_tokens": max(0, written),
        },
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": max(0, meters.output_reasoning)},
        "total_tokens": given + made,
    }
