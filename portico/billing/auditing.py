"""The books, checked while serving.

What it finds is a row.  A breach is an alert, once a day while it lasts, and whatever the operator
wants stopped (automatic recharges) is stopped in the same transaction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from portico.billing.alerts.model import Alert, Target
from portico.billing.alerts.outbox import tell
from portico.billing.audit import Verdict, audit
from portico.billing.payments.model import BalanceLine, ProviderRefused, ProviderUnavailable
from portico.billing.proofs.heads import Signing, opened_keys, sign_heads
from portico.billing.proofs.keys import KeysLost
from portico.db.database import Database
from portico.db.tables import audit_run
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.kit.ids import new_id

_SWEPT_MS = 120_000
"""A hold whose time has just run out belongs to the sweeper, which comes every 30 s."""
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, LookupError, ArithmeticError)
"""What a row may raise that holds something else than it should: a breach, too."""
log = logging.getLogger(__name__)

Freeze = Callable[[Transaction, str, int], bool]
"""Stops recharging for a reason, at a moment; False where it was stopped before."""
AskProvider = Callable[[], Sequence[BalanceLine]]
"""Blocking.  Raises: ProviderUnavailable, ProviderRefused."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """owner: this serving process.  operator: who is told.  ask_provider: None where no payments
    are taken."""

    database: Database
    clock: Clock
    owner: str
    operator: tuple[Target, ...]
    freeze: Freeze
    ask_provider: AskProvider | None

    def go_round(self, now_ms: int) -> None:
        """Blocking."""
        self.audit(now_ms)
        self.sign(now_ms)

    def audit(self, now_ms: int) -> list[Verdict]:
        """Blocking.  Nobody waits for it: it reads one moment, and writes what it found."""
        started_s = self.clock.monotonic_s()
        lines, problem = self._provider()
        try:
            verdicts = self.database.read(
                lambda c: audit(Transaction(c), now_ms - _SWEPT_MS, lines)
            )
        except _UNREADABLE as error:
            log.exception("the audit did not come to its end")
            verdicts = [Verdict("R0", "every row can be read", 0, 1, (str(error)[:200],))]
        if problem:
            verdicts = [replace(v, open=problem) if v.id == "R7" else v for v in verdicts]
        duration_ms = round(1000 * (self.clock.monotonic_s() - started_s))
        self.database.write(lambda c: self._note(Transaction(c), verdicts, now_ms, duration_ms))
        return verdicts

    def sign(self, now_ms: int) -> Signing:
        """Blocking."""
        try:
            key = opened_keys(self.database)[-1]
        except (KeysLost, OSError) as error:
            log.error("the chains of receipts are not signed: %s", error)
            return Signing((), ())
        done = sign_heads(self.database, key, now_ms)
        if done.broken:
            self.database.write(lambda c: self._tell_broken(Transaction(c), done.broken, now_ms))
        return done

    def _provider(self) -> tuple[Sequence[BalanceLine] | None, str]:
        """What moved at the payment provider; why that is not known, where it should be."""
        if self.ask_provider is None:
            return None, ""
        try:
            return self.ask_provider(), ""
        except (ProviderUnavailable, ProviderRefused) as error:
            return None, f"the payment provider did not answer: {error}"

    def _note(
        self, transaction: Transaction, verdicts: list[Verdict], now_ms: int, duration_ms: int
    ) -> None:
        broken = [verdict for verdict in verdicts if verdict.violations]
        violations = sum(verdict.violations for verdict in broken)
        found = msgspec.json.encode(verdicts).decode()
        row = (new_id("audit"), self.owner, now_ms, duration_ms, violations, found)
        transaction.insert(audit_run, [row])
        if not broken:
            return
        reason = "; ".join(f"{v.id}: {v.says}: {v.violations} times not" for v in broken)
        self.freeze(transaction, f"audit: {reason}", now_ms)
        tell(transaction, _failed(broken, reason, now_ms), self.operator, now_ms)
        log.error("the books are wrong: %s", reason)

    def _tell_broken(self, transaction: Transaction, broken: tuple[str, ...], now_ms: int) -> None:
        for organisation_id in broken:
            says = (
                f"The chain of receipts of {organisation_id} is not what was signed; "
                "`portico ledger verify` says where."
            )
            self.freeze(transaction, f"chain: {organisation_id}", now_ms)
            subject = f"chain:{organisation_id}:{_day(now_ms)}"
            # The operator's own: the organisation is not told by machine.
            data = {"of_organisation": organisation_id}
            alert = Alert("ledger.chain_broken", subject, "", says, data)
            tell(transaction, alert, self.operator, now_ms)
            log.error("%s", says)


@dataclass(frozen=True, slots=True)
class Run:
    """An audit that was made while serving."""

    id: str
    owner: str
    started_at_ms: int
    duration_ms: int
    violations: int


def runs(transaction: Transaction, most: int) -> list[Run]:
    """The newest first."""
    found = transaction.rows(
        "SELECT id, owner, started_at_ms, duration_ms, violations FROM audit_run "
        "ORDER BY started_at_ms DESC, id DESC LIMIT ?",
        (most,),
    )
    return [Run(*row) for row in found]


def _failed(broken: list[Verdict], reason: str, now_ms: int) -> Alert:
    return Alert(
        "ledger.audit_failed",
        f"audit:{','.join(verdict.id for verdict in broken)}:{_day(now_ms)}",
        "",
        f"The books are wrong. {reason}. Automatic recharges are stopped.",
        {"invariants": broken},
    )


def _day(now_ms: int) -> str:
    return f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%d}"
