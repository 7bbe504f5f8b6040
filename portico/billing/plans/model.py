"""Allowances, and credit that is about to expire.  Amounts are nano-USD, times milliseconds."""

from dataclasses import dataclass
from typing import Literal

Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Credit an organisation is given anew in every day or month (UTC).

    ends_at_ms: from then on no more of it; None for no end.
    """

    id: str
    organisation_id: str
    period: Period
    nano: int
    created_at_ms: int
    ends_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """The grant of one window.  id: the same at any moment of it."""

    id: str
    organisation_id: str
    nano: int
    expires_at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Expiring:
    """rest_nano: what of an account is left and not set aside."""

    account_id: str
    organisation_id: str
    rest_nano: int
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """What one round of upkeep did: ids of grants made, (account, nano) of what expired, notices."""

    granted: tuple[str, ...]
    expired: tuple[tuple[str, int], ...]
    told: int
