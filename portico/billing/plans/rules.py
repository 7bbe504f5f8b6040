"""What is due, and who is to be told.  Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from portico.admission.rules import dollars, window_ms
from portico.billing.alerts.model import Alert
from portico.billing.plans.model import Allowance, Due, Expiring

NOTICE_DAYS = (1, 7, 30)
"""How long before credit expires somebody is told."""
_DAY_MS = 86_400_000


def due(allowances: Iterable[Allowance], now_ms: int) -> list[Due]:
    """The grants of the windows that `now_ms` lies in.  Each has the same id at any moment of its
    window, and expires with it."""
    grants = []
    for each in allowances:
        if each.ends_at_ms is not None and each.ends_at_ms <= now_ms:
            continue
        starts_ms, ends_ms = window_ms(each.period, now_ms)
        grants.append(
            Due(
                f"{each.id}:{starts_ms}",
                each.organisation_id,
                each.nano,
                ends_ms,
                f"allowance of the {each.period}",
            )
        )
    return grants


def notice(credit: Expiring, now_ms: int) -> Alert | None:
    """The alert of the nearest notice that is due; None where none is.

    Of a long absence only one is sent: seven days before, nobody wants to hear of thirty.
    """
    left_ms = credit.expires_at_ms - now_ms
    days = next((d for d in NOTICE_DAYS if 0 < left_ms <= d * _DAY_MS), None)
    if days is None:
        return None
    ends = datetime.fromtimestamp(credit.expires_at_ms / 1000, UTC)
    return Alert(
        kind="credit.expires_soon",
        subject=f"credit_expires:{credit.account_id}:{days}",
        organisation_id=credit.organisation_id,
        says=f"{dollars(credit.rest_nano)} of {credit.organisation_id} expires on "
        f"{ends:%Y-%m-%d %H:%M} UTC.",
        data={
            "organisation_id": credit.organisation_id,
            "account": credit.account_id,
            "rest_nano_usd": str(credit.rest_nano),
            "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        },
    )
