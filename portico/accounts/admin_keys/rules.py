"""What a key of the admin API opens, and that nobody makes one that opens more than he may.  Pure."""

from collections.abc import Collection, Iterable
from ipaddress import ip_network

from portico import errors
from portico.accounts.actors.names import check_name
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.accounts.admin_keys.model import AdminKeyWish, KnownAdminKey
from portico.accounts.keys.rules import check_end, check_inside, check_length, check_networks
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
