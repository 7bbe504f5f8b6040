"""API keys as they can be shown."""

from dataclasses import dataclass
from typing import Literal

from portico.callers.model import Mode
from portico.canon.prompt import Compatibility


@dataclass(frozen=True, slots=True)
class Key:
    """Times are wall clock, milliseconds.

    prefix, last4: enough to recognise it by.  compatibility: None for that of its project.
    scopes: what it may do; None: whatever a key can.  models: those it may name; None: all that
    its project may.  networks: where it may come from; None: anywhere.
    owner_id: the user or service account it goes with; None: the project's own.
    parent_id: of an ephemeral key, the one that pays for it.
    successor_id: of a key that is being replaced.  last_used_at_ms: to the minute, and late.
    """

    id: str
    project_id: str
    name: str
    mode: Mode
    prefix: str
    last4: str
    concurrency_max: int
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    compatibility: Compatibility | None
    kind: Literal["standard", "ephemeral"] = "standard"
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    owner_id: str | None = None
    parent_id: str | None = None
    successor_id: str | None = None
    last_used_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made.  `secret` is the whole key, and this is the only time it exists."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"IssuedKey({self.key.id!r})"


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key should be."""

    name: str
    mode: Mode = "live"
    concurrency_max: int = 64
    expires_at_ms: int | None = None
    compatibility: Compatibility | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    owner_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What should be otherwise; None: as it is.

    compatibility: "project" for that of its project.  scopes, models, networks: () for no
    restriction.
    """

    name: str | None = None
    concurrency_max: int | None = None
    compatibility: Compatibility | Literal["project"] | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
