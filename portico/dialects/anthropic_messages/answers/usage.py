"""Usage as Messages tells it: `input_tokens` is what was read fresh; what came from a cache or went
into one stands beside it.  (The other way round: `reader`.)"""

from typing import Any

from portico.canon.usage import Meters

_TIERS = ("priority", "batch")
"""Those its clients know besides the usual one."""


def totals_of(meters: Meters) -> dict[str, Any]:
    """The figures that grow while an answer is made, as `message_delta` tells them."""
    cached = meters.input_cache_read
    written = meters.input_cache_write_5m + meters.input_cache_write_1h
    return {
        "input_tokens": meters.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": meters.output_tokens,
        "output_tokens_details": {"thinking_tokens": meters.output_reasoning},
    }


def usage_of(meters: Meters, tier: str = "standard") -> dict[str, Any]:
    """The whole `usage` object of a message.  tier: see `Prompt.service_tier`."""
    return {
        **totals_of(meters),
        "cache_creation": {
            "ephemeral_5m_input_tokens": meters.input_cache_write_5m,
            "ephemeral_1h_input_tokens": meters.input_cache_write_1h,
        },
        "server_tool_use": None,
        "service_tier": tier if tier in _TIERS else "standard",
    }
