"""Whether an event is Stripe's: HMAC-SHA256 over its time and its bytes, with a shared secret."""

import hashlib
import hmac

SECRET_CHARACTERS_MIN = 32
TOLERANCE_S = 300


class NotSigned(Exception):
    """The event is not Stripe's, too old, or from the future.  Nothing was done."""


class Signatures:
    """Raises: ValueError, for a secret that could be guessed: with an empty one anybody signs."""

    def __init__(self, secret: str) -> None:
        if len(secret.strip()) < SECRET_CHARACTERS_MIN:
            raise ValueError(
                f"A webhook secret has {SECRET_CHARACTERS_MIN} characters or more; "
                f"this one has {len(secret.strip())}."
            )
        self._secret = secret.encode()

    def check(self, body: bytes, header: str, now_s: int) -> None:
        """header: Stripe-Signature, `t=...,v1=...`, perhaps with several signatures while a secret
        is changed.  now_s: wall clock.  Raises: NotSigned."""
        at_s, given = _read(header)
        wanted = sign(self._secret, body, at_s)
        matches = [hmac.compare_digest(wanted, each) for each in given]
        if not any(matches):
            raise NotSigned("No signature matches.")
        if abs(now_s - at_s) > TOLERANCE_S:
            raise NotSigned(f"The event was signed {now_s - at_s} s ago; {TOLERANCE_S} s count.")


def sign(secret: bytes, body: bytes, at_s: int) -> bytes:
    """In hexadecimal digits."""
    return hmac.new(secret, b"%d." % at_s + body, hashlib.sha256).hexdigest().encode()


def header_for(secret: str, body: bytes, at_s: int) -> str:
    return f"t={at_s},v1={sign(secret.encode(), body, at_s).decode()}"


def _read(header: str) -> tuple[int, list[bytes]]:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        raise NotSigned("The signature names no time.")
    if not given:
        raise NotSigned("There is no v1 signature.")
    return int(times[0]), given
