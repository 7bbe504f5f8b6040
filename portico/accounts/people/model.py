"""Members, roles, invitations and service accounts, as they can be shown.

Times are wall clock, milliseconds.
"""

from dataclasses import dataclass
from typing import Literal

from portico.accounts.admin_keys.model import IssuedAdminKey

Level = Literal["organisation", "project"]
"""Where a role counts."""

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organisation.  created_at_ms: since when."""

    organisation_id: str
    subject_id: str
    email: str
    name: str
    role: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ProjectMember:
    """What a member is in one project besides."""

    organisation_id: str
    project_id: str
    subject_id: str
    email: str
    name: str
    role: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Role:
    """A name for scopes, sorted.  created_at_ms: None for one that every organisation has."""

    organisation_id: str
    name: str
    level: Level
    scopes: tuple[str, ...]
    created_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """invited_by: the id of a user or service account, or "operator"."""

    id: str
    organisation_id: str
    email: str
    role: str
    invited_by: str
    created_at_ms: int
    expires_at_ms: int
    accepted_at_ms: int | None = None
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """An invitation just made.  `token` opens it, and this is the only time it exists."""

    invitation: Invitation
    token: str

    def __repr__(self) -> str:
        return f"IssuedInvitation({self.invitation.id!r})"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program that works in one project.  disabled_at_ms: since when it can do nothing, for good."""

    id: str
    organisation_id: str
    project_id: str
    name: str
    role: str
    created_at_ms: int
    disabled_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody who has accepted, and the key of the admin API that he was given: whose secret is
    shown now and never again."""

    member: Member
    issued: IssuedAdminKey
