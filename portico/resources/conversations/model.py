"""A conversation, and what is said in it."""

from collections.abc import Mapping
from dataclasses import dataclass

ITEMS_AT_ONCE_MAX = 20


@dataclass(frozen=True, slots=True)
class Conversation:
    """expires_at_ms: None: until it is deleted."""

    id: str
    organisation_id: str
    project_id: str
    metadata: Mapping[str, str]
    created_at_ms: int
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """item: JSON.  position: grows, not without gaps."""

    position: int
    id: str
    item: bytes


@dataclass(frozen=True, slots=True)
class Lock:
    """A conversation that is read and added to by one request."""

    conversation_id: str
    locked_by: str
    organisation_id: str
    project_id: str
