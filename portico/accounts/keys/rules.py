"""What a key may be, and that nobody makes one that can do more than himself.  Pure."""

from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_network

from portico import errors
from portico.accounts.actors.names import check_name
from portico.accounts.keys.model import Key, KeyWish
from portico.callers.scopes import EVERY_SCOPE, KEY_SCOPES

SERVICE_ACCOUNT = "svc_"
"""The beginning of their ids."""
LISTED_MAX = 100
"""Scopes, models and networks in a key's lists."""
CONCURRENCY_MAX = 1_000_000
EXPIRES_MAX_MS = 253_402_300_799_999
"""The end of the year 9999, the last that can be shown."""


def check(wish: KeyWish, now_ms: int) -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    check_name(wish.name)
    if not 1 <= wish.concurrency_max <= CONCURRENCY_MAX:
        raise errors.OUT_OF_RANGE(
            f"'concurrency_max' is {wish.concurrency_max}; it must be 1 to {CONCURRENCY_MAX}.",
            field="concurrency_max",
            value=wish.concurrency_max,
            limit=CONCURRENCY_MAX,
        )
    check_end(wish.expires_at_ms, now_ms)
    check_scopes(wish.scopes)
    check_networks(wish.networks)
    check_models(wish.models)


def check_end(expires_at_ms: int | None, now_ms: int) -> None:
    """Raises: Refusal: out_of_range."""
    if expires_at_ms is None:
        return
    if expires_at_ms <= now_ms:
        raise errors.OUT_OF_RANGE(
            "'expires_at' has passed already; it must lie ahead.", field="expires_at"
        )
    if expires_at_ms > EXPIRES_MAX_MS:
        raise errors.OUT_OF_RANGE(
            "'expires_at' lies beyond the year 9999; leave it out for no end.", field="expires_at"
        )


def check_models(models: tuple[str, ...] | None) -> None:
    check_length("models", models)
    for model in models or ():
        check_name(model, "models")


def check_scopes(scopes: tuple[str, ...] | None) -> None:
    check_length("scopes", scopes)
    for scope in scopes or ():
        if scope not in EVERY_SCOPE:
            raise errors.INVALID_VALUE(
                f"'scopes' names {scope[:100]!r}; a key can have {', '.join(sorted(EVERY_SCOPE))}.",
                field="scopes",
                value=scope[:100],
                limit=sorted(EVERY_SCOPE),
            )


def check_networks(networks: tuple[str, ...] | None) -> None:
    check_length("networks", networks)
    for text in networks or ():
        try:
            if "%" in text:  # a zone, which may hold blanks, and those stand between networks
                raise ValueError
            ip_network(text)
        except ValueError:
            raise errors.INVALID_VALUE(
                f"'networks' names {text[:100]!r}; write an address such as 203.0.113.7, or a "
                "network such as 203.0.113.0/24.",
                field="networks",
                value=text[:100],
            ) from None


def check_subset(scopes: tuple[str, ...] | None, granted: frozenset[str]) -> None:
    """Nobody hands out what he has not got.  Raises: Refusal: rights_exceeded."""
    missing = sorted((KEY_SCOPES if scopes is None else frozenset(scopes)) - granted)
    if missing:
        raise errors.RIGHTS_EXCEEDED(
            f"The new key would have {', '.join(missing)}, which its maker does not have here.",
            field="scopes",
            value=missing,
            limit=sorted(EVERY_SCOPE & granted),
        )


def bounded(wish: KeyWish, ends_at_ms: int | None, networks: tuple[str, ...]) -> KeyWish:
    """ends_at_ms, networks: of the credential it is made with, which it may not outlive or leave
    behind; what the wish does not say is as there.

    Raises: Refusal: rights_exceeded.
    """
    until_ms = wish.expires_at_ms if wish.expires_at_ms is not None else ends_at_ms
    if ends_at_ms is not None and until_ms is not None and until_ms > ends_at_ms:
        raise errors.RIGHTS_EXCEEDED(
            "'expires_at' is later than the end of the key it is made with.", field="expires_at"
        )
    wanted = wish.networks or networks or None
    check_inside(wanted, networks)
    return replace(wish, expires_at_ms=until_ms, networks=wanted)


def check_inside(wanted: Collection[str] | None, networks: Collection[str]) -> None:
    """wanted: None or () for anywhere.  networks: of whoever wants it; () for anywhere.

    Raises: Refusal: rights_exceeded.
    """
    if networks and not (wanted and all(_inside(each, networks) for each in wanted)):
        raise errors.RIGHTS_EXCEEDED(
            "'networks' goes beyond those of the key it is made with.",
            field="networks",
            limit=sorted(networks),
        )


def as_long_again(key: Key, now_ms: int) -> int | None:
    """When a key that lives from now on for as long as this one was made for would end."""
    if key.expires_at_ms is None:
        return None
    return min(now_ms + key.expires_at_ms - key.created_at_ms, EXPIRES_MAX_MS)


def _inside(wanted: str, networks: Collection[str]) -> bool:
    inner = ip_network(wanted)
    return any(
        inner.version == outer.version
        and outer.network_address <= inner.network_address  # type: ignore[operator]  # of one version
        and inner.broadcast_address <= outer.broadcast_address  # type: ignore[operator]  # of one version
        for outer in map(ip_network, networks)
    )


def check_length(field: str, items: tuple[str, ...] | None) -> None:
    """Of a list that is kept as it is said.  Raises: Refusal: out_of_range."""
    if items is not None and len(items) > LISTED_MAX:
        raise errors.OUT_OF_RANGE(
            f"{field!r} names {len(items)}; it may name {LISTED_MAX}.",
            field=field,
            value=len(items),
            limit=LISTED_MAX,
        )
