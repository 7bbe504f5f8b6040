"""Keys of the admin API as they can be shown, and as they are found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class AdminKey:
    """Times are wall clock, milliseconds.

    organisation_id, owner_id: whose rights it has, and where; both None for the operator's own,
    which is for the whole installation.
    scopes: the most of those rights that it has; None: all of them.
    networks: where it may come from; None: anywhere.
    last_used_at_ms: to the minute, and late.
    """

    id: str
    organisation_id: str | None
    owner_id: str | None
    name: str
    prefix: str
    last4: str
    scopes: tuple[str, ...] | None
    networks: tuple[str, ...] | None
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedAdminKey:
    """A key just made.  `secret` is the whole key, and this is the only time it exists."""

    key: AdminKey
    secret: str

    def __repr__(self) -> str:
        return f"IssuedAdminKey({self.key.id!r})"


@dataclass(frozen=True, slots=True)
class AdminKeyWish:
    """What a new key should be.

    organisation_id, owner_id: whose rights it goes with; both None for the maker's own.
    """

    name: str
    scopes: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    expires_at_ms: int | None = None
    organisation_id: str | None = None
    owner_id: str | None = None


@dataclass(frozen=True, slots=True)
class KnownAdminKey:
    """A key as the database has it.

    owner_kind: None for the operator's own.  suspended: why its organisation may do nothing now;
    None when it may.
    """

    key: AdminKey
    owner_kind: Literal["user", "service_account"] | None
    suspended: str | None
