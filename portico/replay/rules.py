"""What a key may be, whether it is free, and what stands in the way."""

from portico import errors
from portico.replay.model import Standing, Wish

KEY_CHARACTERS_MAX = 255
KEPT = frozenset({"completed", "out_of_funds"})
"""Ways of ending whose answer is whole, as far as it goes.  After every other a retry runs."""
_IN_USE_RETRY_MS = 1_000


def key_of(header: bytes) -> str:
    """Raises: Refusal: invalid_idempotency_key."""
    if 1 <= len(header) <= KEY_CHARACTERS_MAX and all(0x21 <= each <= 0x7E for each in header):
        return header.decode("ascii")
    raise errors.IDEMPOTENCY_KEY_INVALID(
        f"The Idempotency-Key has {len(header)} characters; it must be 1 to {KEY_CHARACTERS_MAX} "
        "visible ASCII characters, without spaces.",
        field="Idempotency-Key",
        value=header[:KEY_CHARACTERS_MAX].decode("latin-1"),
        limit=KEY_CHARACTERS_MAX,
    )


def is_free(standing: Standing | None, now_ms: int) -> bool:
    """An open claim is never free, however old: money may be set aside under it, and only the
    sweeper ends both together."""
    return standing is None or (standing.state == "done" and standing.expires_at_ms <= now_ms)


def objection(standing: Standing, wish: Wish) -> errors.Refusal | None:
    """Why `wish` gets nothing of what somebody else's claim stands for; None: it gets its answer."""
    if standing.fingerprint != wish.fingerprint:
        return errors.IDEMPOTENCY_KEY_REUSED(
            f"This Idempotency-Key belongs to another request ({standing.request_id}): its method, "
            "path or body were different.",
            field="Idempotency-Key",
            value=wish.key,
        )
    if standing.state == "open":
        return in_use(wish)
    return None


def in_use(wish: Wish) -> errors.Refusal:
    return errors.IDEMPOTENCY_KEY_IN_USE(
        "The first request with this Idempotency-Key has not ended.",
        field="Idempotency-Key",
        value=wish.key,
        retry_after_ms=_IN_USE_RETRY_MS,
    )


def not_kept(request_id: str) -> errors.Refusal:
    return errors.IDEMPOTENT_ANSWER_NOT_KEPT(
        f"The request with this Idempotency-Key ({request_id}) has ended and was charged, but its "
        "answer was not kept.",
        field="Idempotency-Key",
        value=request_id,
    )
