"""When a budget tells, and whom.  Pure."""

from collections.abc import Iterable

from portico.billing.alerts.model import Target


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
