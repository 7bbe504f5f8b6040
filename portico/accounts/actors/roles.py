"""What each role may do.  Pure.

A scope is `thing:read` or `thing:write`; what a project's keys may do (`callers.scopes`) are scopes
too, because nobody hands out what he has not got.
"""

from typing import Final

from portico.callers.scopes import EVERY_SCOPE

MAKES_OWNERS: Final = "owners:write"
PROJECT_SCOPES: Final = EVERY_SCOPE | {
    "projects:read",
    "projects:write",
    "members:read",
    "members:write",
    "service_accounts:read",
    "service_accounts:write",
    "keys:read",
    "keys:write",
    "limits:read",
    "limits:write",
    "webhooks:read",
    "webhooks:write",
    "costs:read",
}
"""What can be had in one project."""

ORGANISATION_SCOPES: Final = PROJECT_SCOPES | {
    "organisation:read",
    "organisation:write",
    "roles:read",
    "roles:write",
    MAKES_OWNERS,
    "audit:read",
    "admin_keys:read",
    "admin_keys:write",
    "terms:read",
}
"""What can be had in an organisation.  owners:write: make and unmake owners."""

INSTALLATION_SCOPES: Final = ORGANISATION_SCOPES | {
    "organisations:read",
    "organisations:write",
    "deployments:read",
    "deployments:write",
    "prices:read",
    "prices:write",
    "terms:write",
    "installation:audit",
}
"""What only the operator has."""

_READS: Final = frozenset(each for each in PROJECT_SCOPES if each.endswith(":read"))

ORGANISATION_ROLES: Final[dict[str, frozenset[str]]] = {
    "owner": frozenset(ORGANISATION_SCOPES),
    "admin": frozenset(ORGANISATION_SCOPES - {"owners:write", "organisation:write"}),
    "billing": frozenset(
        {
            *("organisation:read", "projects:read", "usage:read", "costs:read", "balance:read"),
            "terms:read",
        }
    ),
    "auditor": frozenset(
        _READS | {"organisation:read", "roles:read", "audit:read", "admin_keys:read", "terms:read"}
    ),
    "member": frozenset({"organisation:read"}),
}
"""In an organisation: what counts in every project of it."""

PROJECT_ROLES: Final[dict[str, frozenset[str]]] = {
    "admin": frozenset(PROJECT_SCOPES),
    "developer": frozenset(
        EVERY_SCOPE | {"projects:read", "keys:read", "keys:write", "limits:read"}
    ),
    "viewer": frozenset(
        {"projects:read", "keys:read", "limits:read", "models:read", "usage:read", "balance:read"}
    ),
}
"""In one project, besides what the organisation's role gives."""
