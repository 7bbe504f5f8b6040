"""What may be written down about people, and that nobody gives what he has not got.  Pure."""

import re
from collections.abc import Iterable

from portico import errors
from portico.accounts.actors.roles import (
    ORGANISATION_ROLES,
    ORGANISATION_SCOPES,
    PROJECT_ROLES,
    PROJECT_SCOPES,
)
from portico.accounts.people.model import Invitation, Level

EMAIL_MAX = 254
INVITATION_MS = 7 * 86_400_000
"""How long an invitation can be accepted, unless somebody says otherwise."""
INVITATION_MS_MAX = 30 * 86_400_000

BUILT_IN = {"organisation": ORGANISATION_ROLES, "project": PROJECT_ROLES}
_CATALOGUE = {
    # Whoever has owners:write is an owner: there is no second way to be one.
    "organisation": frozenset(ORGANISATION_SCOPES - {"owners:write"}),
    "project": frozenset(PROJECT_SCOPES),
}
# Nothing that means something in a mail's header: no quotes, commas, brackets.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}"
)
_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def address(text: str) -> str | None:
    """In lower case, without blanks around it; None for what is no address.

    It is looked at before it is changed: some letters that are not ASCII become so in lower case,
    and one person would be another.
    """
    typed = text.strip()
    if len(typed) > EMAIL_MAX or not _EMAIL.fullmatch(typed):
        return None
    return typed.lower()


def checked_email(text: str) -> str:
    """As `address`.  Raises: Refusal: invalid_value."""
    email = address(text)
    if email is None:
        raise errors.INVALID_VALUE(
            f"'email' is {text[:100]!r}; write an address such as ada@example.org, in ASCII.",
            field="email",
            value=text[:100],
        )
    return email


def check_role_name(name: str) -> None:
    """Raises: Refusal: invalid_value; conflict, for a name that every organisation has already."""
    if not _ROLE_NAME.fullmatch(name):
        raise errors.INVALID_VALUE(
            f"'name' is {name[:100]!r}; a role's has 1 to 64 of a-z, 0-9, - and _, and begins with "
            "a letter.",
            field="name",
            value=name[:100],
        )
    if any(name in roles for roles in BUILT_IN.values()):
        raise errors.CONFLICT(f"Every organisation has a role {name!r}.", field="name", value=name)


def named(scopes: Iterable[str], level: Level, *, owner: bool) -> frozenset[str]:
    """What `scopes` name: `*` and `keys:*` are written out, so that a scope which a later version
    brings is in no role that nobody looked at.

    owner: whether whoever asks is one; nobody else may use such words.

    Raises: Refusal: invalid_value; rights_exceeded.
    """
    catalogue = _CATALOGUE[level]
    found: set[str] = set()
    for scope in scopes:
        wild = scope == "*" or scope.endswith(":*")
        these = {each for each in catalogue if each == scope or (wild and _matches(each, scope))}
        if not these:
            raise errors.INVALID_VALUE(
                f"'scopes' names {scope[:100]!r}; a role of this level can have "
                f"{', '.join(sorted(catalogue))}.",
                field="scopes",
                value=scope[:100],
                limit=sorted(catalogue),
            )
        if wild and not owner:
            raise errors.RIGHTS_EXCEEDED(
                f"'scopes' names {scope[:100]!r}; only an owner may say so.  Name them one by one.",
                field="scopes",
                value=scope[:100],
            )
        found |= these
    return frozenset(found)


def check_covered(scopes: Iterable[str], granted: frozenset[str], field: str) -> None:
    """Nobody gives, takes or changes what he has not got.  Raises: Refusal: rights_exceeded."""
    missing = sorted(frozenset(scopes) - granted)
    if missing:
        raise errors.RIGHTS_EXCEEDED(
            f"This is about {', '.join(missing)}, which these credentials do not have here.",
            field=field,
            value=missing,
        )


def check_lifetime(lives_ms: int) -> None:
    """Raises: Refusal: out_of_range."""
    if not 1 <= lives_ms <= INVITATION_MS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'expires_in' is {lives_ms} ms; it must be 1 to {INVITATION_MS_MAX}.",
            field="expires_in",
            value=lives_ms,
            limit=INVITATION_MS_MAX,
        )


def is_open(invitation: Invitation, now_ms: int) -> bool:
    """Can it be accepted?"""
    ended = invitation.accepted_at_ms is not None or invitation.revoked_at_ms is not None
    return not ended and now_ms < invitation.expires_at_ms


def _matches(scope: str, pattern: str) -> bool:
    return pattern == "*" or scope.startswith(pattern.removesuffix("*"))
