"""What a key may be, and that nobody makes one that can do more than himself.  Pure."""

from collections.abc import Iterable
from ipaddress import ip_network

from portico import errors
from portico.accounts.keys.model import KeyWish
from portico.callers.scopes import KEY_SCOPES

NAME_MAX = 200
LISTED_MAX = 100
"""Models, and networks, in a key's lists."""


def check(wish: KeyWish, now_ms: int) -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    if not 1 <= len(wish.name) <= NAME_MAX:
        raise errors.OUT_OF_RANGE(
            f"'name' has {len(wish.name)} characters; it must have 1 to {NAME_MAX}.",
            field="name",
            value=len(wish.name),
            limit=NAME_MAX,
        )
    if wish.concurrency_max < 1:
        raise errors.OUT_OF_RANGE(
            f"'concurrency_max' is {wish.concurrency_max}; it must be at least 1.",
            field="concurrency_max",
            value=wish.concurrency_max,
            limit=1,
        )
    if wish.expires_at_ms is not None and wish.expires_at_ms <= now_ms:
        raise errors.OUT_OF_RANGE(
            "'expires_at' has passed already; it must lie ahead.", field="expires_at"
        )
    check_scopes(wish.scopes)
    check_networks(wish.networks)
    _check_length("models", wish.models)


def check_scopes(scopes: Iterable[str] | None) -> None:
    for scope in scopes or ():
        if scope not in KEY_SCOPES:
            raise errors.INVALID_VALUE(
                f"'scopes' names {scope[:100]!r}; a key can have {', '.join(sorted(KEY_SCOPES))}.",
                field="scopes",
                value=scope[:100],
                limit=sorted(KEY_SCOPES),
            )


def check_networks(networks: tuple[str, ...] | None) -> None:
    _check_length("networks", networks)
    for text in networks or ():
        try:
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
            limit=sorted(KEY_SCOPES & granted),
        )


def _check_length(field: str, items: tuple[str, ...] | None) -> None:
    if items is not None and len(items) > LISTED_MAX:
        raise errors.OUT_OF_RANGE(
            f"{field!r} names {len(items)}; it may name {LISTED_MAX}.",
            field=field,
            value=len(items),
            limit=LISTED_MAX,
        )
