"""What can be said against a URL before anything is sent to it.  What a name stands for is looked
up with every request, by whoever sends it."""

import ipaddress
import re

from portico import errors
from portico.kit import egress

_URL_MAX = 2_000
_NAME = re.compile(r"[a-z0-9_.-]+")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_INSIDE = ("localhost", "local", "internal", "home.arpa")
"""Last words of names that are never of the Internet."""


def check_url(url: str, *, private_allowed: bool) -> None:
    """private_allowed: addresses inside, any port, and no TLS are allowed.

    Raises: Refusal: invalid_value.
    """
    try:
        if len(url) > _URL_MAX:
            raise egress.Refused(f"a URL has at most {_URL_MAX} characters")
        place = egress.place_of(url)
        if not private_allowed:
            egress.check_way(place, http=False)
            _check_host(place.host)
    except egress.Refused as error:
        raise errors.INVALID_VALUE(
            f"Nothing can be sent to this URL: {error}.",
            field="url",
            value=url[:100],
            remedy="Give an https URL of a host on the Internet.",
        ) from error


def _check_host(host: str) -> None:
    """Raises: egress.Refused."""
    host = host.rstrip(".").lower()
    last = host.rpartition(".")[2]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if any(host == each or host.endswith(f".{each}") for each in _INSIDE):
            raise egress.Refused(f"{host} is not on the Internet") from None
        # Some resolvers read 2130706433, 127.1 and 0x7f.1 as addresses.
        if _NUMBER.fullmatch(last) or not _NAME.fullmatch(host) or "." not in host:
            raise egress.Refused(f"{host} is no name on the Internet") from None
        return
    if not egress.is_outside(address):
        raise egress.Refused(f"{host} is not an address on the Internet")
