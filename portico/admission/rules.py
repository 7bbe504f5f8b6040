"""How long to stay away, which window a budget is in, and how a refusal is told.  Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from portico import errors
from portico.ledger.model import Headroom, Short


def drain_estimate_ms(waiting: int, places: int, mean_run_ms: float) -> int:
    """When a newcomer behind `waiting` others would get one of `places`, each held for
    `mean_run_ms`; between 1 s (nobody gains from polling faster) and 60 s."""
    rounds = (waiting + places) / max(places, 1)
    return min(60_000, max(1_000, round(rounds * mean_run_ms)))


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap in nano-USD on what `scope_id` may spend in each day or month (UTC)."""

    id: str
    scope: str
    scope_id: str
    period: str
    cap_nano: int


def window_ms(period: str, now_ms: int) -> tuple[int, int]:
    """The day or month (UTC) that `now_ms` lies in: its start, and the start of the next."""
    start = datetime.fromtimestamp(now_ms / 1000, UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    if period == "day":
        end = start + timedelta(days=1)
    else:
        start = start.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return round(start.timestamp()) * 1000, round(end.timestamp()) * 1000


def shortage(short: Short, amount_nano: int, now_ms: int) -> errors.Refusal:
    """How a refused hold is told.  What open requests hold may come back: that may be tried again;
    funds that are spent, and a window that is full, may not (until it ends)."""
    needs = f"This request may cost up to {dollars(amount_nano)}"
    if short.available_nano + short.in_flight_nano >= amount_nano:
        return errors.FUNDS_HELD(
            f"{needs}; {dollars(short.available_nano)} is free, and {dollars(short.in_flight_nano)} "
            "is set aside for requests that still run.",
            value=amount_nano,
            limit=short.available_nano,
            retry_after_ms=1_000,
        )
    if short.limit is None:
        return errors.CREDIT_EXHAUSTED(
            f"{needs}; the balance has {dollars(short.available_nano)} left.",
            value=amount_nano,
            limit=short.available_nano,
        )
    limit = short.limit
    ends = datetime.fromtimestamp(limit.ends_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return errors.SPEND_LIMITS[limit.scope](
        f"{needs}; the {limit.scope}'s budget of {dollars(limit.cap_nano)} a {limit.period} has "
        f"{dollars(short.available_nano)} left until {ends}.",
        value=amount_nano,
        limit=short.available_nano,
    )


def headroom_lines(headroom: Headroom) -> bytes:
    """As header lines.  Amounts in nano-USD, the reset as RFC 3339."""
    lines = b""
    if headroom.balance_nano is not None:
        lines = b"portico-balance-nano-usd: %d\r\n" % headroom.balance_nano
    limit = headroom.limit
    if limit is None:
        return lines
    return lines + (
        f"portico-budget: {limit.scope}/{limit.period}\r\n"
        f"portico-budget-limit-nano-usd: {limit.cap_nano}\r\n"
        f"portico-budget-remaining-nano-usd: {headroom.limit_nano}\r\n"
        f"portico-budget-reset: {_rfc_3339(limit.ends_at_ms)}\r\n"
    ).encode("ascii")


@lru_cache(maxsize=64)
def _rfc_3339(at_ms: int) -> str:
    """Of the few ends that windows have: the day's and the month's."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short_lines(short: Short) -> bytes:
    """The same of a hold that was refused."""
    if short.limit is None:
        return headroom_lines(Headroom(short.available_nano))
    return headroom_lines(Headroom(None, short.limit, short.available_nano))


def dollars(nano: int) -> str:
    """Exact, without needless zeros: 1500000000 is "$1.50", 1 is "$0.000000001"."""
    whole, rest = divmod(abs(nano), 1_000_000_000)
    digits = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}${whole}.{digits}"
