"""What a strict key is refused at once: fields nobody here knows, and what no engine is told."""

from msgspec import Struct

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects.gemini.embedding import BatchRequest, EmbedRequest
from portico.dialects.gemini.request import GenerateRequest
from portico.dialects.strictness import check_fields


def _both_spellings(*shapes: type[Struct]) -> frozenset[str]:
    return frozenset(
        name
        for shape in shapes
        for name in (*shape.__struct_fields__, *shape.__struct_encode_fields__)
    )


_GENERATE = _both_spellings(GenerateRequest) | {
    "labels",
    "store",
    "safetySettings",
    "safety_settings",
}
_EMBED = _both_spellings(EmbedRequest, BatchRequest)


def check(prompt: Prompt) -> None:
    """Raises: Refusal: unknown_field."""
    check_fields(prompt, _GENERATE)


def check_embedding(prompt: Prompt) -> None:
    """Raises: Refusal: unknown_field, unsupported_feature."""
    check_fields(prompt, _EMBED)
    if prompt.warnings:
        raise errors.UNSUPPORTED_FEATURE(
            "'taskType' and 'title' reach no engine from here, and this key is strict.",
            field="taskType",
        )
