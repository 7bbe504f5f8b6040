"""Who may use this installation: organisations, projects and the keys issued to them."""

from dataclasses import dataclass

from portico.callers.model import Mode
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility


@dataclass(frozen=True, slots=True)
class Project:
    """data_use: the most that may be made of its prompts.  compatibility: what becomes of what an
    engine cannot do, for keys that say nothing of their own.  created_at_ms: wall clock."""

    id: str
    organisation_id: str
    name: str
    created_at_ms: int
    data_use: DataUse
    compatibility: Compatibility


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it can be shown.  Times are wall clock, milliseconds.

    prefix, last4: enough to recognise it by.  compatibility: None for that of its project.
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


class UnknownKey(LookupError):
    """No key has this id."""


class UnknownProject(LookupError):
    """No project has this id."""
