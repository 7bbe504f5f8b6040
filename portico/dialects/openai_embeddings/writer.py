"""The answer: one vector for each input, as numbers or as base64 of float32."""

from base64 import b64encode
from typing import Any

from portico.canon.delta import Delta
from portico.canon.embedding import Embedded
from portico.canon.prompt import Prompt
from portico.dialects.openai_embeddings.parse import wants_base64
from portico.dialects.writing import Running, encode


class VectorsWriter:
    """Written with the last delta.  Bytes that an engine gave in the form that was asked for go
    through untouched."""

    def __init__(self, prompt: Prompt, _request_id: str, _created_s: int) -> None:
        self._prompt = prompt
        self._vectors: list[Embedded] = []
        self._running = Running()

    def write(self, delta: Delta) -> bytes:
        if delta.raw:
            return delta.raw
        self._running.count(delta)
        self._vectors += delta.vectors
        if not delta.last:
            return b""
        base64 = wants_base64(self._prompt)
        used = self._running.total().input_tokens
        return encode(
            {
                "object": "list",
                "data": [_item(vector, base64=base64) for vector in self._vectors],
                "model": self._prompt.model,
                "usage": {"prompt_tokens": used, "total_tokens": used},
            }
        )

    def ping(self) -> bytes:
        return b""


def _item(embedded: Embedded, *, base64: bool) -> dict[str, Any]:
    shown = b64encode(embedded.vector).decode() if base64 else embedded.numbers()
    return {"object": "embedding", "index": embedded.index, "embedding": shown}
