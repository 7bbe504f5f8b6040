"""When a budget tells, what a webhook's signature is of, how long to wait.  Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from portico.billing.alerts.model import Target
from portico.kit.backoff import exponential_s

ATTEMPTS_MAX = 24
"""About three days of them."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 6 * 3_600.0
_SECRET_PREFIX = "whsec_"
_SECRET_BYTES_MIN, _SECRET_BYTES_MAX = 24, 64


class SecretInvalid(ValueError):
    """What a webhook secret must be."""


def crossed(percents: Iterable[int], spent_nano: int, cap_nano: int) -> list[int]:
    """The percentages of the cap that are reached; none of a cap of 0, of which nothing is spent."""
    if cap_nano <= 0:
        return []
    return sorted(each for each in set(percents) if spent_nano * 100 >= each * cap_nano)


def customer_and(operator: Iterable[Target], mail: str) -> tuple[Target, ...]:
    """Whom something tells that concerns a customer: its mail address, or where it has none the
    operator's, and the operator's webhooks in any case."""
    if not mail:
        return tuple(operator)
    webhooks = [each for each in operator if each.channel != "mail"]
    return (*webhooks, Target("mail", mail))


def wait_ms(attempts: int) -> int:
    """After so many attempts that failed."""
    return round(1000 * exponential_s(attempts, _FIRST_WAIT_S, _LONGEST_WAIT_S))


def secret_bytes(secret: str) -> bytes:
    """Of `whsec_` and Base64, as Standard Webhooks writes it: 24 to 64 bytes.  Raises: SecretInvalid."""
    try:
        raw = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not secret.startswith(_SECRET_PREFIX) or not (
        _SECRET_BYTES_MIN <= len(raw) <= _SECRET_BYTES_MAX
    ):
        raise SecretInvalid("A webhook secret is `whsec_` and Base64 of 24 to 64 bytes.")
    return raw


def secret_text(raw: bytes) -> str:
    return _SECRET_PREFIX + base64.b64encode(raw).decode()


def secret_of(secret: bytes, organisation_id: str) -> bytes:
    """An organisation's own, so that it cannot sign what another one is told; the operator's alerts
    are signed with the secret itself."""
    if not organisation_id:
        return secret
    return hmac.digest(secret, b"organisation:" + organisation_id.encode(), hashlib.sha256)


def signature(secret: bytes, delivery_id: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature` (standardwebhooks.com)."""
    signed = f"{delivery_id}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
