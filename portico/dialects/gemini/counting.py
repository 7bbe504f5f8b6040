"""`countTokens`: contents alone, or the whole request that would be sent."""

from typing import Any

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects.body import json_object, without_bom
from portico.dialects.gemini.contents.signatures import Signatures
from portico.dialects.gemini.keys import in_camel_case
from portico.dialects.gemini.parse import prompt_of, typed
from portico.dialects.gemini.request import CountRequest

_WHOLE = "generateContentRequest"


def parse_count(body: bytes, hints: dict[str, str], signatures: Signatures) -> Prompt:
    """The prompt that is to be counted.  `hints`: as for `parse`.  Raises: Refusal."""
    body = without_bom(body)
    document = in_camel_case(json_object(body), body)
    request = typed(document, CountRequest)
    whole = request.generate_content_request
    if whole is None:
        return prompt_of(document, body, hints, signatures)
    if request.contents is not None:
        raise errors.INVALID_VALUE(
            f"'contents' and '{_WHOLE}' are both set; send one of them.",
            field="contents",
            value="an array",
            limit=f"without {_WHOLE}",
        )
    try:
        return prompt_of(whole, msgspec.json.encode(whole), hints, signatures)
    except errors.Refusal as refusal:
        if refusal.field is not None:
            refusal.message = refusal.message.replace(
                f"'{refusal.field}'", f"'{_WHOLE}.{refusal.field}'"
            )
            refusal.field = f"{_WHOLE}.{refusal.field}"
        raise


def counted(total: int) -> dict[str, Any]:
    """The answer."""
    return {"totalTokens": total}
