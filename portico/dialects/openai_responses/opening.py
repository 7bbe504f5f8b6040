"""What this server sealed and the caller brings back, put in its place before anything is checked.

Sealed are the thoughts of our own engines (and those of providers that sign them), and what
`/v1/responses/compact` made.  What another server sealed stays as it is.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from portico import errors
from portico.dialects.diagnosis import brief
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.sealing import MARK, Seal

KEEP_DAYS = 30
"""How long a sealed item can be sent back."""
ISSUER = "portico"

Purpose = Literal["reasoning", "compaction"]
_PURPOSES: dict[Any, Purpose] = {
    "reasoning": "reasoning",
    "compaction": "compaction",
    "compaction_summary": "compaction",
}
_RESEND = {
    "reasoning": "Send the turn again without this item: what was said and called stays valid.",
    "compaction": "Send the turns themselves again, or compact them anew.",
}


class Seals:
    """Items with an issuer and a date of expiry, closed for one purpose each, and for one project."""

    def __init__(self, seal: Seal, clock: Clock, project_id: str = "") -> None:
        self._seal = seal
        self._clock = clock
        self._project_id = project_id

    def of(self, project_id: str) -> "Seals":
        """For its callers; what they bring back opens for no other's."""
        return Seals(self._seal, self._clock, project_id)

    def expiry_s(self) -> int:
        """Unix seconds: of what is closed now."""
        return self._clock.wall_ms() // 1000 + KEEP_DAYS * 86_400

    def close(self, purpose: Purpose, content: Any, expires_s: int) -> str:
        told = {"issuer": ISSUER, "expires": expires_s, "content": content}
        return self._seal.close(msgspec.json.encode(told).decode(), purpose, self._project_id)

    def open(self, path: str, purpose: Purpose, sealed: str) -> Any:
        """Raises: Refusal: sealed_item_invalid, sealed_item_expired, naming what to resend."""
        text = self._seal.open(sealed, purpose, self._project_id)
        if text is None:
            raise errors.SEALED_ITEM_INVALID(
                f"{path!r} was not sealed by this server for this project, or was changed since.",
                field=path,
                value=brief(sealed),
                limit="the text as it was given, unchanged",
                remedy=_RESEND[purpose],
            )
        told = msgspec.json.decode(text)
        if told["expires"] <= self._clock.wall_ms() // 1000:
            ended = f"{datetime.fromtimestamp(told['expires'], UTC):%Y-%m-%dT%H:%M:%SZ}"
            raise errors.SEALED_ITEM_EXPIRED(
                f"{path!r} expired at {ended}, {KEEP_DAYS} days after it was made.",
                field=path,
                value=ended,
                limit=f"{KEEP_DAYS} days",
                remedy=_RESEND[purpose],
            )
        return told["content"]


class Opened:
    """The document of a request, made ready to be checked: every item of its input says its type,
    and ours are open.  The document itself is changed.

    changed: something was opened, so the body is not what it was.
    """

    def __init__(self, document: dict[str, Any], seals: Seals) -> None:
        self.changed = False
        self._stood: list[int] = []
        self._seals = seals
        self.document = document
        if isinstance(document.get("input"), list):
            document["input"] = list(self._items(typed(document)["input"]))

    def as_sent(self, refusal: Refusal) -> Refusal:
        """`refusal`, with the item's place in the request as the caller sent it."""
        found = re.match(r"input\[(\d+)\]", refusal.field or "")
        at = int(found[1]) if found else 0
        if found and at < len(self._stood) and self._stood[at] != at:
            assert refusal.field is not None
            field = f"input[{self._stood[at]}]{refusal.field[found.end() :]}"
            refusal.message = refusal.message.replace(f"'{refusal.field}'", f"'{field}'")
            refusal.field = field
        return refusal

    def _items(self, items: list[Any]) -> Iterator[Any]:
        for at, item in enumerate(items):
            for inner in self._inner(f"input[{at}].encrypted_content", item):
                self._stood.append(at)
                yield inner

    def _inner(self, path: str, item: Any) -> list[Any]:
        kind = item.get("type") if isinstance(item, dict) else None
        purpose = _PURPOSES.get(kind) if isinstance(kind, str) else None
        sealed = item.get("encrypted_content") if purpose else None
        if purpose is None or not isinstance(sealed, str) or not sealed.startswith(MARK):
            return [item]
        self.changed = True
        content = self._seals.open(path, purpose, sealed)
        if purpose == "compaction":
            return list(content["items"])
        return [_thought(item, content)]


def typed(document: dict[str, Any], member: str = "input") -> dict[str, Any]:
    """A message and a reference may leave out their type; here they no longer do.

    member: where its items stand."""
    items = document.get(member)
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") is None:
            if "role" in item:
                item["type"] = "message"
            elif "id" in item:
                item["type"] = "item_reference"
    return document


def sealed_thought(text: str, blob: str, issuer: str) -> dict[str, Any]:
    """What is sealed of a thought.  blob, issuer: of whoever sealed it before us, "" for nobody."""
    return {"text": text, "blob": blob, "issuer": issuer}


def _thought(item: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    words = [{"type": "reasoning_text", "text": content["text"]}] if content["text"] else None
    thought = {**item, "encrypted_content": None, "content": words or item.get("content")}
    if content["blob"]:
        thought |= {"encrypted_content": content["blob"], "portico_issuer": content["issuer"]}
    return thought
