"""Usage as Responses tells it: input counts what was cached, output what was thought."""

from typing import Any

from portico.canon.usage import Meters


def usage_of(meters: Meters) -> dict[str, Any]:
    return {
        "input_tokens": meters.input_tokens,
        "input_tokens_details": {
            "cached_tokens": meters.input_cache_read,
            "cache_write_tokens": meters.input_cache_write_5m + meters.input_cache_write_1h,
        },
        "output_tokens": meters.output_tokens,
        "output_tokens_details": {"reasoning_tokens": meters.output_reasoning},
        "total_tokens": meters.input_tokens + meters.output_tokens,
    }
