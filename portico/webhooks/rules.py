"""Which events there are and who wants them; what a signature is of; when to try again.  Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from zlib import crc32

from portico.kit.backoff import exponential_s
from portico.webhooks.model import Endpoint, Event

KINDS = {
    "budget.threshold_crossed": "a percentage of a budget is reached",
    "credit.expires_soon": "credit expires in a few days",
    "invoice.made": "a month became an invoice",
    "invoice.overdue": "an invoice is not paid",
    "organisation.read_only": "something is overdue: only reading is admitted",
    "organisation.suspended": "its keys are refused",
    "organisation.restored": "its keys are admitted again",
    "key.revoked": "a key is refused from now on",
    "member.invited": "somebody is asked to join",
    **{
        f"response.{state}": f"a response in the background is {state}"
        for state in ("completed", "incomplete", "failed", "cancelled")
    },
    **{
        f"batch.{state}": f"a batch is {state}"
        for state in ("completed", "failed", "expired", "cancelled")
    },
    "webhook.disabled": "an endpoint is told nothing any more",
    "webhook.test": "somebody asked for a test",
}
"""What an organisation is told, and when.  Everything else is the operator's to know."""

OF_ACTIONS = {
    "key.revoke": ("key.revoked", "The key {target} is revoked."),
    "organisation.suspend": ("organisation.suspended", "The organisation {target} is suspended."),
    "organisation.resume": (
        "organisation.restored",
        "The organisation {target} is suspended no more.",
    ),
    "invitation.create": ("member.invited", "{email} is invited as {role}."),
}
"""Of what stands in the audit log: which event it is, and the sentence for people."""

MAILED = frozenset({"member.invited"})
"""Of these the organisation's contact is told by mail, too: whoever comes in can do harm.  The first of
an hour only, or whoever invites could fill a mailbox."""
MAILED_EVERY_MS = 3_600_000

ATTEMPTS_MAX = 24
"""About three days of them; a replay begins another round of as many."""
FAILING_MS = 3 * 86_400_000
"""An endpoint that took nothing for so long, when a delivery to it is given up, is disabled."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 6 * 3_600.0
_JITTER = 0.25
_RETRY_AFTER_MS_MAX = 86_400_000
_SECRET_PREFIX = "whsec_"
_SECRET_BYTES_MIN, _SECRET_BYTES_MAX = 24, 64


class SecretInvalid(ValueError):
    """What a webhook secret must be."""


def wants(endpoint: Endpoint, event: Event) -> bool:
    """Is it told of this?  One of a project hears what is about that project."""
    if endpoint.disabled_at_ms is not None or event.kind not in KINDS:
        return False
    if endpoint.project_id is not None and endpoint.project_id != event.project_id:
        return False
    return endpoint.kinds is None or event.kind in endpoint.kinds


def is_last(number: int) -> bool:
    """Of an attempt: does its round end with it?"""
    return number % ATTEMPTS_MAX == 0


def round_after(attempts: int) -> int:
    """The number after which the next round begins."""
    return -(-attempts // ATTEMPTS_MAX) * ATTEMPTS_MAX


def wait_ms(number: int, delivery_id: str, retry_after_ms: int = 0) -> int:
    """After an attempt that failed: longer each time, and never shorter than the other side asks
    for, within a day.

    What came at one moment does not all come back at one moment: up to a quarter more, by the id.
    """
    in_round = (number - 1) % ATTEMPTS_MAX + 1
    wait = 1000 * exponential_s(in_round, _FIRST_WAIT_S, _LONGEST_WAIT_S)
    share = crc32(f"{delivery_id}.{number}".encode()) / 2**32
    return max(round(wait * (1 + _JITTER * share)), min(retry_after_ms, _RETRY_AFTER_MS_MAX))


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


def signature(secrets: Iterable[bytes], delivery_id: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature` (standardwebhooks.com): one for each secret."""
    signed = f"{delivery_id}.{at_s}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
        for secret in secrets
    )
