"""What a key of the admin API opens, and that nobody makes one that opens more than he may.  Pure."""

from collections.abc import Collection, Iterable
from ipaddress import ip_network

from portico import errors
from portico.accounts.actors.names import check_name
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.accounts.admin_keys.model import AdminKeyWish, KnownAdminKey
from portico.accounts.keys.rules import (
    SERVICE_ACCOUNT,
    check_end,
    check_inside,
    check_length,
    check_networks,
)
from portico.callers.rules import within


def check_opens(known: KnownAdminKey | None, now_ms: int, address: str) -> KnownAdminKey:
    """address: where it comes from.

    Raises: Refusal: invalid_api_key, api_key_revoked, api_key_expired (401); address_not_allowed,
    organization_suspended (403).
    """
    if known is None:
        raise errors.INVALID_KEY("This API key does not exist.")
    key = known.key
    if key.revoked_at_ms is not None:
        raise errors.KEY_REVOKED("This API key was revoked.")
    if key.expires_at_ms is not None and key.expires_at_ms <= now_ms:
        raise errors.KEY_EXPIRED("This API key has expired.")
    if key.networks and not within(address, tuple(ip_network(each) for each in key.networks)):
        raise errors.ADDRESS_NOT_ALLOWED(
            f"This key may not be used from {address or 'an unknown address'}.", value=address
        )
    if known.suspended is not None:
        why = f": {known.suspended}" if known.suspended else ""
        raise errors.ORGANISATION_SUSPENDED(f"The organisation of this key is suspended{why}.")
    return known


def narrowed(scopes: Iterable[str], kept: tuple[str, ...] | None) -> frozenset[str]:
    """Its owner's AND the key's own; kept: None for all of them."""
    return frozenset(scopes) if kept is None else frozenset(scopes) & frozenset(kept)


def check(wish: AdminKeyWish, now_ms: int) -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    check_name(wish.name)
    check_end(wish.expires_at_ms, now_ms)
    check_length("scopes", wish.scopes)
    for scope in wish.scopes or ():
        if scope not in INSTALLATION_SCOPES:
            known = sorted(INSTALLATION_SCOPES)
            raise errors.INVALID_VALUE(
                f"'scopes' names {scope[:100]!r}; there are {', '.join(known)}.",
                field="scopes",
                value=scope[:100],
                limit=known,
            )
    check_networks(wish.networks)


def check_lifetime(
    wish: AdminKeyWish, ends_at_ms: int | None, networks: Collection[str]
) -> AdminKeyWish:
    """ends_at_ms, networks: of the key it is made with, which it may not outlive or leave behind;
    what the wish does not say is as there.

    Raises: Refusal: rights_exceeded.
    """
    until_ms = wish.expires_at_ms if wish.expires_at_ms is not None else ends_at_ms
    if ends_at_ms is not None and until_ms is not None and until_ms > ends_at_ms:
        raise errors.RIGHTS_EXCEEDED(
            "'expires_at' is later than the end of the key it is made with.", field="expires_at"
        )
    wanted = wish.networks or tuple(networks) or None
    check_inside(wanted, networks)
    return AdminKeyWish(
        wish.name, wish.scopes, wanted, until_ms, wish.organisation_id, wish.owner_id
    )


def checked_owner(wished: str | None, asking: str) -> str:
    """Whose a new key of an organisation is.  wished: None for his who asks.

    A person's key is known to nobody else, or whoever made it would be him, in the log and in his
    keys, and go on when he is removed himself.

    Raises: Refusal: rights_exceeded, whether or not there is such a person.
    """
    if wished is None or wished == asking or wished.startswith(SERVICE_ACCOUNT):
        return wished or asking
    raise errors.RIGHTS_EXCEEDED(
        "A person's key is made by himself, or by the operator.",
        field="owner_id",
        value=wished[:100],
        remedy="Invite him: whoever accepts is given a key; or make one for a service account.",
    )


def check_revocable(missing: Collection[str]) -> None:
    """missing: scopes that the key has beyond whoever would end it.

    Raises: Refusal: rights_exceeded.
    """
    if missing:
        raise errors.RIGHTS_EXCEEDED(
            f"This key has {', '.join(sorted(missing))}, which these credentials do not have there.",
            field="id",
            value=sorted(missing),
            remedy="Ask its owner, or somebody who has these scopes.  A key that got out: report it "
            "with POST /security/leaked-keys.",
        )


def check_covered(missing: Collection[str], whose: str) -> None:
    """missing: scopes that the new key would have beyond what `whose` are.

    Raises: Refusal: rights_exceeded.
    """
    if missing:
        raise errors.RIGHTS_EXCEEDED(
            f"The new key would have {', '.join(sorted(missing))}, which its {whose} does not have "
            "there.",
            field="scopes",
            value=sorted(missing),
        )
