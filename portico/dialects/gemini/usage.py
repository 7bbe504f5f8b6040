"""Usage as this dialect tells it: the cached tokens are a part of the prompt, the thoughts are not a
part of the candidates."""

from typing import Any

from portico.canon.usage import Meters


def usage_of(meters: Meters) -> dict[str, Any]:
    """`usageMetadata`.  Counts that are 0 are left out where Google leaves them out."""
    prompt, thoughts = meters.input_tokens, meters.output_reasoning
    candidates = meters.output_text + meters.output_audio
    told: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates + thoughts,
    }
    if meters.input_cache_read:
        told["cachedContentTokenCount"] = meters.input_cache_read
    if thoughts:
        told["thoughtsTokenCount"] = thoughts
    media = meters.input_image + meters.input_audio
    if media:
        told["promptTokensDetails"] = _details(
            TEXT=prompt - media, IMAGE=meters.input_image, AUDIO=meters.input_audio
        )
    if meters.output_audio:
        told["candidatesTokensDetails"] = _details(
            TEXT=meters.output_text, AUDIO=meters.output_audio
        )
    return told


def _details(**tokens: int) -> list[dict[str, Any]]:
    return [
        {"modality": modality, "tokenCount": count} for modality, count in tokens.items() if count
    ]
