"""A response that is kept, and what a new one follows."""

from dataclasses import dataclass
from typing import Literal

State = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ENDED = frozenset({"completed", "incomplete", "failed", "cancelled"})
WHOLE = frozenset({"completed", "incomplete"})
"""What another one can follow."""


@dataclass(frozen=True, slots=True)
class Response:
    """As its row says.  input, body: JSON: its own items, the response object."""

    id: str
    organisation_id: str
    project_id: str
    model: str
    state: State
    background: bool
    stream: bool
    previous_id: str | None
    conversation_id: str | None
    input: bytes
    body: bytes
    created_at_ms: int
    ended_at_ms: int | None
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One of those that a response follows, without what it says.  size_bytes: of that."""

    id: str
    previous_id: str | None
    state: str
    conversation_id: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Link:
    """What it says."""

    id: str
    input: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept where nobody says otherwise.

    by_default: responses of requests that do not say `store`.
    keep_ms: from the end of each.  links_max: that one may follow, through each other.
    context_bytes_max: of all that they hold together.  response_bytes_max: of one.
    """

    by_default: bool
    keep_ms: int
    links_max: int
    context_bytes_max: int
    response_bytes_max: int
