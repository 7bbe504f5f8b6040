"""Endpoints, and what is on its way to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Channel = Literal["webhook", "mail"]
ENDPOINT = "whk"
"""What ids of endpoints begin with: no URL and no mail address begins so."""


@dataclass(frozen=True, slots=True)
class Target:
    """address: a URL, the id of an endpoint, or a mail address."""

    channel: Channel
    address: str


@dataclass(frozen=True, slots=True)
class Event:
    """subject: what it is about; a second event about the same is not made.
    organisation_id: "" for the operator's own.  project_id: "" where it is about no single one.
    says: one sentence for people.
    """

    kind: str
    subject: str
    organisation_id: str
    says: str
    data: Mapping[str, object]
    project_id: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Times are wall clock, milliseconds.

    project_id: None: whatever happens in the organisation.  kinds: None: every kind.
    former_until_ms: until when a secret that was replaced signs, too.
    disabled_at_ms: None: it is told.
    """

    id: str
    organisation_id: str
    project_id: str | None
    url: str
    kinds: tuple[str, ...] | None
    created_at_ms: int
    former_until_ms: int | None = None
    disabled_at_ms: int | None = None
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """An endpoint, and the secret that was just made: this is the only time it is shown."""

    endpoint: Endpoint
    secret: str

    def __repr__(self) -> str:
        return f"IssuedEndpoint({self.endpoint.id!r})"


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """What a new endpoint should be.  project_id, kinds: as an `Endpoint` has them."""

    organisation_id: str
    url: str
    project_id: str | None = None
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What should be otherwise; None: as it is.  kinds: () for every kind.
    disabled: True stops it, False lets it be told again."""

    url: str | None = None
    kinds: tuple[str, ...] | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a delivery goes now, and what it is signed with: two while one replaces the other."""

    url: str
    secrets: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Destination({self.url!r})"


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as its endpoint's owner sees it.

    id: `webhook-id`.  attempts: that ended.  last: what came of the newest; "" before the first.
    due_at_ms: of the next one; means nothing once it is resolved.
    """

    id: str
    kind: str
    created_at_ms: int
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    last: str
    due_at_ms: int
    resolved_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    at_ms: int
    outcome: str
