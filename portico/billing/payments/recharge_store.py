"""Rows of recharge: who has it, what it charged, whether it is frozen."""

from portico.billing.payments.model import Order, RechargeRule
from portico.billing.payments.rules import DECLINES_MAX, REST_MS
from portico.db.tables import recharge, top_up
from portico.db.transaction import Transaction

_RULE = ", ".join(recharge.columns.keys())
_ORDER = top_up.columns.keys()
_CHARGED = (
    "SELECT coalesce(sum(amount_minor), 0) FROM top_up WHERE organisation_id = ? "
    "AND origin = 'recharge' AND state <> 'failed' AND created_at_ms >= ? AND created_at_ms < ?"
)


def freeze(transaction: Transaction, reason: str, now_ms: int) -> bool:
    """Nothing is recharged from now on, for anybody.  False where it is frozen already."""
    sql = (
        "INSERT INTO payment_freeze (id, reason, frozen_at_ms) VALUES ('recharge', ?, ?) "
        "ON CONFLICT DO NOTHING"
    )
    return bool(transaction.run(sql, (reason, now_ms)))


def thaw(transaction: Transaction) -> bool:
    """False where it is not frozen."""
    return bool(transaction.run("DELETE FROM payment_freeze WHERE id = 'recharge'"))


def frozen(transaction: Transaction) -> str | None:
    """Why nothing is recharged; None where nothing stops it."""
    found = transaction.rows("SELECT reason FROM payment_freeze WHERE id = 'recharge'")
    return str(found[0][0]) if found else None


def set_rule(transaction: Transaction, rule: RechargeRule) -> None:
    names = recharge.columns.keys()
    row = [int(v) if isinstance(v := getattr(rule, name), bool) else v for name in names]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    transaction.run(
        f"INSERT INTO recharge ({_RULE}) VALUES ({', '.join('?' * len(row))}) "
        f"ON CONFLICT (organisation_id) DO UPDATE SET {changed}",
        row,
    )


def switch_off(transaction: Transaction, organisation_id: str, author: str, now_ms: int) -> bool:
    """False where there is no rule."""
    return bool(
        transaction.run(
            "UPDATE recharge SET enabled = 0, says = '', author = ?, changed_at_ms = ? "
            "WHERE organisation_id = ?",
            (author, now_ms, organisation_id),
        )
    )


def rule(transaction: Transaction, organisation_id: str) -> RechargeRule | None:
    """Locked."""
    found = transaction.rows(
        f"SELECT {_RULE} FROM recharge WHERE organisation_id = ?{transaction.for_update}",
        (organisation_id,),
    )
    return RechargeRule(found[0][0], bool(found[0][1]), *found[0][2:]) if found else None


def rules(transaction: Transaction) -> list[RechargeRule]:
    found = transaction.rows(f"SELECT {_RULE} FROM recharge ORDER BY organisation_id")
    return [RechargeRule(row[0], bool(row[1]), *row[2:]) for row in found]


def due(transaction: Transaction, now_ms: int) -> list[str]:
    """Organisations whose recharge is on and does not rest."""
    found = transaction.rows(
        "SELECT organisation_id FROM recharge WHERE enabled = 1 AND rests_until_ms <= ? "
        "ORDER BY organisation_id",
        (now_ms,),
    )
    return [row[0] for row in found]


def available_nano(transaction: Transaction, organisation_id: str, now_ms: int) -> int:
    """Credit that a request could use now; what an organisation may owe is not credit."""
    found = transaction.rows(
        "SELECT posted_nano - held_nano FROM account WHERE organisation_id = ? "
        "AND kind IN ('prepaid', 'promo') AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
        (organisation_id, now_ms),
    )
    return sum(int(row[0]) for row in found)


def charged_minor(
    transaction: Transaction, organisation_id: str, since_ms: int, until_ms: int
) -> int:
    """By recharge, under way or paid."""
    return int(transaction.rows(_CHARGED, (organisation_id, since_ms, until_ms))[0][0])


def begin(transaction: Transaction, order: Order, since_ms: int, until_ms: int) -> bool:
    """An order, if the cap of its month, the switch and the freeze allow it, and none is under
    way.  The database decides; whoever asks has decided the same before."""
    row = [getattr(order, name) for name in _ORDER]
    done = transaction.run(
        f"INSERT INTO top_up ({', '.join(_ORDER)}) SELECT {', '.join('?' * len(row))} "
        f"WHERE ({_CHARGED}) + ? <= "
        "(SELECT cap_minor FROM recharge WHERE organisation_id = ? AND enabled = 1) "
        "AND NOT EXISTS (SELECT 1 FROM payment_freeze) ON CONFLICT DO NOTHING",
        (
            *row,
            order.organisation_id,
            since_ms,
            until_ms,
            order.amount_minor,
            order.organisation_id,
        ),
    )
    return bool(done)


def begun_since(transaction: Transaction, organisation_id: str, since_ms: int) -> int:
    """How many recharges were tried."""
    sql = (
        "SELECT count(*) FROM top_up WHERE organisation_id = ? AND origin = 'recharge' "
        "AND created_at_ms >= ?"
    )
    return int(transaction.rows(sql, (organisation_id, since_ms))[0][0])


def succeeded(transaction: Transaction, organisation_id: str) -> None:
    sql = "UPDATE recharge SET declines = 0, rests_until_ms = 0 WHERE organisation_id = ?"
    transaction.run(sql, (organisation_id,))


def declined(transaction: Transaction, organisation_id: str, why: str, now_ms: int) -> bool:
    """Counted, and nothing is tried for a while.  True where this one switched it off."""
    found = transaction.rows(
        "UPDATE recharge SET declines = declines + 1, rests_until_ms = ?, "
        "enabled = CASE WHEN declines + 1 >= ? THEN 0 ELSE enabled END, says = ? "
        "WHERE organisation_id = ? RETURNING declines",
        (now_ms + REST_MS, DECLINES_MAX, why, organisation_id),
    )
    return bool(found) and int(found[0][0]) == DECLINES_MAX
