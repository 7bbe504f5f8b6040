"""Usage as Chat tells it, and as we keep it.

Chat counts twice: prompt_tokens holds the cached ones, completion_tokens the reasoning.  Meters
are disjoint, and their sums are Chat's totals again.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from portico.canon.usage import Meters

_Count = Annotated[int, Meta(ge=0)]


class PromptDetails(Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class CompletionDetails(Struct):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None


_NO_PROMPT_DETAILS = PromptDetails()
_NO_COMPLETION_DETAILS = CompletionDetails()


class ChatUsage(Struct):
    """What an engine says it used.  An explicit zero is a zero, not a gap."""

    prompt_tokens: _Count
    completion_tokens: _Count = 0
    total_tokens: _Count = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Timings(Struct):
    """llama.cpp's own figures: what it computed of the prompt, found in its cache, and made."""

    prompt_n: _Count
    predicted_n: _Count
    cache_n: _Count = 0


def meters_of(usage: ChatUsage) -> Meters:
    inputs = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    outputs = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    if not (
        inputs.cached_tokens
        or inputs.cache_write_tokens
        or inputs.audio_tokens
        or inputs.image_tokens
        or outputs.reasoning_tokens
        or outputs.audio_tokens
    ):
        return Meters(input_text=usage.prompt_tokens, output_text=usage.completion_tokens)
    # The parts may overlap (audio read from a cache); each takes what the ones before it left.
    fresh, (read, written, audio, image) = _split(
        usage.prompt_tokens,
        inputs.cached_tokens,
        inputs.cache_write_tokens,
        inputs.audio_tokens,
        inputs.image_tokens,
    )
    made = usage.completion_tokens
    reasoned = outputs.reasoning_tokens or 0
    if reasoned and usage.total_tokens == usage.prompt_tokens + made + reasoned:
        made += reasoned  # this engine counts reasoning beside the completion, not in it
    text, (reasoning, sound) = _split(made, reasoned, outputs.audio_tokens)
    return Meters(
        input_text=fresh,
        input_cache_read=read,
        input_cache_write_5m=written,
        input_image=image,
        input_audio=audio,
        output_text=text,
        output_reasoning=reasoning,
        output_audio=sound,
    )


def meters_of_timings(timings: Timings) -> Meters:
    return Meters(
        input_text=timings.prompt_n,
        input_cache_read=timings.cache_n,
        output_text=timings.predicted_n,
    )


def _split(total: int, *parts: int | None) -> tuple[int, list[int]]:
    """What is left of `total` after `parts`, and the parts as far as it reaches."""
    if not any(parts):
        return total, [0] * len(parts)
    taken = []
    for part in parts:
        share = min(part or 0, total)
        taken.append(share)
        total -= share
    return total, taken


def usage_in(value: Any) -> ChatUsage | None:
    """The usage in `value`, read already or untyped; None for nothing, and for figures that make no
    sense."""
    if isinstance(value, ChatUsage):
        return value
    if not isinstance(value, dict):
        return None
    try:
        return msgspec.convert(value, ChatUsage)
    except msgspec.ValidationError:
        return None


def usage_of(meters: Meters) -> dict[str, Any]:
    """Chat's `usage` object."""
    return {
        "prompt_tokens": meters.input_tokens,
        "completion_tokens": meters.output_tokens,
        "total_tokens": meters.input_tokens + meters.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": meters.input_cache_read,
            "cache_write_tokens": meters.input_cache_write_5m + meters.input_cache_write_1h,
            "audio_tokens": meters.input_audio,
            "image_tokens": meters.input_image,
        },
        "completion_tokens_details": {
            "reasoning_tokens": meters.output_reasoning,
            "audio_tokens": meters.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
