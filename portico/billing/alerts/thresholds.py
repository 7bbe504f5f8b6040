"""Budgets that crossed a share of their cap: found by looking at the accounts now and then, never
while a request waits.

A window that has just ended is looked at, too: its last charges may have come after the last look,
or be settled late.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from portico.admission.rules import dollars, window_ms
from portico.billing.alerts import store
from portico.billing.alerts.model import Alert, AlertRules, Target
from portico.billing.alerts.rules import crossed
from portico.billing.budgets import StoredBudget, budgets
from portico.db.transaction import Transaction, places

_percents = msgspec.json.Decoder(tuple[int, ...])
_LATE_MS = 3_600_000
"""How long after its end a window is still looked at: longer than any request takes."""
_AT_ONCE = 500


class UnknownBudget(Exception):
    """There is no such budget."""


@dataclass(frozen=True, slots=True)
class Crossing:
    alert: Alert
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    budget: StoredBudget
    rules: AlertRules
    starts_ms: int
    ends_ms: int

    @property
    def account_id(self) -> str:
        return f"limit:{self.budget.id}:{self.starts_ms}"


def set_rules(transaction: Transaction, budget_id: str, wanted: AlertRules) -> None:
    """Raises: UnknownBudget."""
    percents = msgspec.json.encode(wanted.percents).decode()
    changed = transaction.run(
        "UPDATE budget SET alert_percents = ?, webhook_url = ?, mail = ? WHERE id = ?",
        (percents, wanted.webhook_url, wanted.mail, budget_id),
    )
    if not changed:
        raise UnknownBudget(f"There is no budget {budget_id!r}; `portico budget list` has them.")


def crossings(
    transaction: Transaction, operator: Collection[Target], now_ms: int
) -> list[Crossing]:
    """Those that nobody was told about.  operator: told where a budget names no address."""
    rules = _rules(transaction)
    if not rules:
        return []
    windows = [
        window
        for budget in budgets(transaction)
        if budget.id in rules
        for window in _windows(budget, rules[budget.id], now_ms)
    ]
    found: list[Crossing] = []
    for first in range(0, len(windows), _AT_ONCE):
        some = windows[first : first + _AT_ONCE]
        found += _new(transaction, list(_crossed(transaction, some, operator)))
    return found


def _rules(transaction: Transaction) -> dict[str, AlertRules]:
    """By budget: of those that tell."""
    found = transaction.rows(
        "SELECT id, alert_percents, webhook_url, mail FROM budget WHERE alert_percents <> '[]' "
        "ORDER BY id"
    )
    return {row[0]: AlertRules(_percents.decode(row[1]), row[2], row[3]) for row in found}


def _windows(budget: StoredBudget, rules: AlertRules, now_ms: int) -> Iterator[_Window]:
    for at_ms in (now_ms - _LATE_MS, now_ms):
        starts_ms, ends_ms = window_ms(budget.period, at_ms)
        if at_ms == now_ms or ends_ms <= now_ms:
            yield _Window(budget, rules, starts_ms, ends_ms)


def _crossed(
    transaction: Transaction, windows: list[_Window], operator: Collection[Target]
) -> Iterator[Crossing]:
    spent = {
        row[0]: -int(row[1])
        for row in transaction.rows(
            f"SELECT id, posted_nano FROM account WHERE id IN {places(len(windows))}",
            [window.account_id for window in windows],
        )
    }
    for window in windows:
        spent_nano, cap_nano = spent.get(window.account_id, 0), window.budget.cap_nano
        for percent in crossed(window.rules.percents, spent_nano, cap_nano):
            project_id = _project_of(transaction, window.budget)
            alert = _alert(window, project_id, percent, spent_nano)
            yield Crossing(alert, _targets(window.rules) or tuple(operator))


def _new(transaction: Transaction, found: list[Crossing]) -> list[Crossing]:
    known = store.known(transaction, [each.alert.subject for each in found])
    return [each for each in found if each.alert.subject not in known]


def _targets(rules: AlertRules) -> tuple[Target, ...]:
    named = (Target("webhook", rules.webhook_url), Target("mail", rules.mail))
    return tuple(each for each in named if each.address)


def _project_of(transaction: Transaction, budget: StoredBudget) -> str:
    """That a budget is about; "" for that of an organisation."""
    if budget.scope != "key":
        return budget.scope_id if budget.scope == "project" else ""
    found = transaction.rows(
        "SELECT project_id FROM api_key WHERE organisation_id = ? AND id = ?",
        (budget.organisation_id, budget.scope_id),
    )
    return str(found[0][0]) if found else ""


def _alert(window: _Window, project_id: str, percent: int, spent_nano: int) -> Alert:
    budget = window.budget
    starts = datetime.fromtimestamp(window.starts_ms / 1000, UTC)
    return Alert(
        kind="budget.threshold_crossed",
        subject=f"budget:{budget.id}:{window.starts_ms}:{percent}",
        organisation_id=budget.organisation_id,
        says=f"The {budget.scope} {budget.scope_id} has spent {dollars(spent_nano)} of its budget of "
        f"{dollars(budget.cap_nano)} for the {budget.period} of {starts:%Y-%m-%d}: {percent} % are "
        "reached.",
        data={
            "budget_id": budget.id,
            "organisation_id": budget.organisation_id,
            "scope": budget.scope,
            "scope_id": budget.scope_id,
            "period": budget.period,
            "starts_at_ms": window.starts_ms,
            "ends_at_ms": window.ends_ms,
            "percent": percent,
            "cap_nano_usd": str(budget.cap_nano),
            "spent_nano_usd": str(spent_nano),
        },
        project_id=project_id,
    )
