"""What is taken away from the ledger, one piece at a time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`old` occurs once in the module and becomes `new`."""

    name: str
    module: str
    old: str
    new: str


def _store(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"store: {name}", "store", old, new)


def _service(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"service: {name}", "service", old, new)


def _rules(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"rules: {name}", "rules", old, new)


def _model(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"model: {name}", "model", old, new)


def _receipts(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"receipts: {name}", "receipts", old, new)


def _owners(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(f"owners: {name}", "owners", old, new)


MUTANTS = [
    # store: every WHERE
    _store(
        "move: held may be negative", "held_nano + ? BETWEEN 0 AND", "held_nano + ? BETWEEN -9 AND"
    ),
    _store("move: held without an upper end", "BETWEEN 0 AND {AMOUNT_MAX_NANO} ", ">= 0 "),
    _store(
        "move: posted without a lower end",
        "BETWEEN -{AMOUNT_MAX_NANO} AND",
        "BETWEEN -9223372036854775807 AND",
    ),
    _store(
        "move: posted without an upper end",
        "-{AMOUNT_MAX_NANO} AND {AMOUNT_MAX_NANO} ",
        "-{AMOUNT_MAX_NANO} AND 9223372036854775807 ",
    ),
    _store(
        "move: no floor",
        '    "AND (floor_nano IS NULL OR posted_nano + ? - (held_nano + ?) >= floor_nano)"',
        '    "AND ? + ? IS NOT NULL"',
    ),
    _store(
        "move: floor off by one",
        "(held_nano + ?) >= floor_nano)",
        "(held_nano + ?) >= floor_nano - 1)",
    ),
    _store(
        "move: floor above by one",
        "(held_nano + ?) >= floor_nano)",
        "(held_nano + ?) > floor_nano)",
    ),
    _store("move: an account without floor is refused", "(floor_nano IS NULL OR ", "("),
    _store(
        "move: held is not written", "held_nano = held_nano + ? ", "held_nano = held_nano + ? * 0 "
    ),
    _store("move: every account", '"WHERE id = ? AND held', '"WHERE ? IS NOT NULL AND held'),
    _store(
        "funds: of everybody",
        "organisation_id IN {places(len(owners))} ",
        "(1 = 1 OR organisation_id IN {places(len(owners))}) ",
    ),
    _store(
        "funds: of every kind",
        "kind IN ('prepaid', 'promo', 'receivable') AND",
        "kind <> 'limit' AND",
    ),
    _store("funds: no prepaid", "'prepaid', ", ""),
    _store("funds: no receivable", ", 'receivable')", ")"),
    _store("funds: nothing owed yet", " OR kind = 'receivable'", ""),
    _store("funds: no promo", "'promo', ", ""),
    _store("funds: no limits", '"OR id IN', '"OR 0 = 1 AND id IN'),
    _store(
        "accounts: of everybody", "WHERE organisation_id = ? ORDER", "WHERE ? IS NOT NULL ORDER"
    ),
    _store(
        "accounts: not by id",
        "organisation_id = ? ORDER BY id",
        "organisation_id = ? ORDER BY id DESC",
    ),
    _store(
        "add accounts: one that is there is an error",
        '_KEEP = "ON CONFLICT DO NOTHING"',
        '_KEEP = ""',
    ),
    _store(
        "floor: above what is left",
        "CASE WHEN posted_nano - held_nano < ? ",
        "CASE WHEN posted_nano - held_nano < ? AND 1 = 0 ",
    ),
    _store(
        "floor: held is not looked at",
        '"THEN posted_nano - held_nano ELSE',
        '"THEN posted_nano ELSE',
    ),
    _store("floor: every account", "ELSE ? END WHERE id = ? ", "ELSE ? END WHERE ? IS NOT NULL "),
    _store(
        "locks: windows among the funds",
        "ORDER BY kind = 'limit', ",
        "ORDER BY ",
    ),
    _store("locks: funds in any order", "'limit', {_by_id(transaction)}{", "'limit', priority{"),
    _store(
        "locks: holds in any order", '"ORDER BY {_by_id(transaction)}{', '"ORDER BY amount_nano{'
    ),
    _store(
        "locks: written in another order",
        "sorted(changes.items(), key=_limits_last)",
        "changes.items()",
    ),
    _store(
        "locks: windows written among the funds",
        "(is_limit(change[0]), change[0])",
        "(False, change[0])",
    ),
    _store(
        "open holds: all of them",
        "f\"WHERE id IN {places(len(ids))} AND state = 'open' \"\n",
        "f\"WHERE (1 = 1 OR id IN {places(len(ids))}) AND state = 'open' \"\n",
    ),
    _store("open holds: ended ones too", " AND state = 'open' \"\n", ' "\n'),
    _store(
        "known holds: only open ones",
        'WHERE id IN {places(len(ids))}", ids',
        "WHERE id IN {places(len(ids))} AND state = 'open'\", ids",
    ),
    _store(
        "known holds: all of them",
        'WHERE id IN {places(len(ids))}", ids',
        'WHERE 1 = 1 OR id IN {places(len(ids))}", ids',
    ),
    _store("resolve: ended ones again", "\"AND state = 'open' RETURNING id,", '"RETURNING id,'),
    _store(
        "resolve: all of them",
        "resolved_at_ms = ? WHERE id IN {places(len(ids))} ",
        "resolved_at_ms = ? WHERE (1 = 1 OR id IN {places(len(ids))}) ",
    ),
    _store("resolve: no time", "resolved_at_ms = ? WHERE", "resolved_at_ms = NULL + ? WHERE"),
    _store(
        "widen: ended ones", "parts = ? WHERE id = ? AND state = 'open'", "parts = ? WHERE id = ?"
    ),
    _store("widen: all of them", "parts = ? WHERE id = ? AND", "parts = ? WHERE ? IS NOT NULL AND"),
    _store(
        "claim: of those that are there too",
        "{_KEEP} RETURNING id",
        "ON CONFLICT (id) DO UPDATE SET kind = kind RETURNING id",
    ),
    _store(
        "chains: those of everybody",
        "WHERE organisation_id IN {places(len(wanted))} ",
        "WHERE (1 = 1 OR organisation_id IN {places(len(wanted))}) ",
    ),
    _store(
        "chains: all are moved",
        "hash = ? WHERE organisation_id = ?",
        "hash = ? WHERE ? IS NOT NULL",
    ),
    _store("chains: a new one starts at one", "VALUES (?, 0, ?)", "VALUES (?, 1, ?)"),
    _store("stale: ended ones too", "WHERE state = 'open' \"", 'WHERE 1 = 1 "'),
    _store("stale: never late", "(opened_at_ms + ttl_ms <= ? OR ", "(? IS NULL OR "),
    _store("stale: a moment later", "ttl_ms <= ?", "ttl_ms < ?"),
    _store("stale: owners are not asked after", " OR owner NOT IN (SELECT id FROM instance)", ""),
    _store("stale: of the living", "owner NOT IN", "owner IN"),
    _store("stale: newest first", "ORDER BY opened_at_ms, id", "ORDER BY opened_at_ms DESC, id"),
    _store("stale: all at once", "LIMIT ?{", "LIMIT 99 + ?{"),
    _store("funds: spent credit", "(posted_nano > 0 OR ", "(1 = 1 OR "),
    # service
    _service(
        "hold: again is held again",
        "        if wish.request_id not in known:\n",
        "        if True:\n",
    ),
    _service(
        "hold: twice in a batch", "        for wish in new.values():", "        for wish in wishes:"
    ),
    _service(
        "hold: the last of a batch counts",
        "new.setdefault(wish.request_id, wish)",
        "new[wish.request_id] = wish",
    ),
    _service(
        "hold: a refusal ends the batch",
        "                answers[wish.request_id] = parts\n                continue",
        "                answers[wish.request_id] = parts\n                break",
    ),
    _service(
        "hold: accounts are not written",
        "        funds.write()\n        store.add_holds",
        "        store.add_holds",
    ),
    _service("hold: it is not written", "        store.add_holds(transaction, rows)\n"),
    _service("extend: the whole again", "wish.amount_nano - amount_nano\n", "wish.amount_nano\n"),
    _service("extend: lowers", "if more_nano <= 0:", "if more_nano == 0:"),
    _service("extend: again is refused", "if more_nano <= 0:", "if more_nano < 0:"),
    _service("extend: forgets the first part", "parts = merged(parts, more)", "parts = more"),
    _service(
        "extend: twice in a batch",
        "        opened[wish.request_id] = (organisation_id, wish.amount_nano, parts)\n",
    ),
    _service(
        "extend: accounts are not written", "    funds.write()\n    store.widen", "    store.widen"
    ),
    _service("extend: it is not written", "    store.widen_holds(transaction, raised)\n"),
    _service(
        "extend: a refusal loses the others",
        "                answers.append(more)\n                continue".replace(
            "                ", "            ", 1
        ).replace("\n                ", "\n            "),
        "            answers.append(more)\n            break",
    ),
    _service(
        "settle: ended ones too",
        "if each.request_id in ended]",
        "]",
    ),
    _service(
        "settle: the last end counts",
        "first.setdefault(each.request_id, each)",
        "first[each.request_id] = each",
    ),
    _service(
        "settle: the second end is answered too",
        "outcomes.pop(each.request_id, None) for",
        "outcomes.get(each.request_id) for",
    ),
    _service("settle: all in one state", "if each.state == state)", ")"),
    _service("settle: held stays held", "        moves.release(parts)\n"),
    _service(
        "settle: a void is charged",
        "        if each.bill is None:\n            outcomes",
        "        if False:\n            outcomes",
    ),
    _service(
        "settle: all is charged",
        "charged_nano = each.bill.net_nano - absorbed_nano",
        "charged_nano = each.bill.net_nano",
    ),
    _service(
        "settle: limits do not count", "        moves.count_against_limits(parts, charged_nano)\n"
    ),
    _service("settle: an empty transaction", "if each.bill.net_nano:", "if True:"),
    _service(
        "settle: no money moves",
        "    moves.post(postings)\n    moves.write(transaction)\n    store.add_txns",
        "    moves.write(transaction)\n    store.add_txns",
    ),
    _service(
        "settle: balances are not written",
        "    moves.write(transaction)\n    store.add_txns",
        "    store.add_txns",
    ),
    _service(
        "settle: no transaction", "    store.add_txns(transaction, _txn_rows(postings, now_ms))\n"
    ),
    _service("settle: no entries", "    store.add_entries(transaction, _entry_rows(postings))\n"),
    _service(
        "settle: no receipts",
        "    receipts.add(transaction, due, owners, outcomes, now_ms)\n",
    ),
    _service("post: those that are there too", "if each.id in claimed]\n    moves", "]\n    moves"),
    _service(
        "post: the last of a batch counts",
        "first.setdefault(each.id, each)",
        "first[each.id] = each",
    ),
    _service("post: the second is answered as new", "        claimed.discard(each.id)\n"),
    _service(
        "post: balances are not written",
        "    moves.write(transaction)\n    store.add_entries(transaction, _entry_rows(new))",
        "    store.add_entries(transaction, _entry_rows(new))",
    ),
    _service("post: no entries", "    store.add_entries(transaction, _entry_rows(new))\n"),
    _service("prepare: no revenue", "(REVENUE, ABSORBED)", "(ABSORBED,)"),
    _service("prepare: no absorbed overrun", "(REVENUE, ABSORBED)", "(REVENUE,)"),
    _service(
        "receivable: owes without limit", "floor_nano = -credit_limit_nano", "floor_nano = None"
    ),
    _service(
        "funds: limits fund",
        '            if account.kind != "limit":\n                self',
        "            if True:\n                self",
    ),
    _service("funds: windows are not opened", "if missing:", "if False:"),
    _service("funds: not in order", "in in_order(found.values(), now_ms):", "in found.values():"),
    _service(
        "funds: held twice over",
        "account.held_nano - self._held_before[account.id]",
        "account.held_nano",
    ),
    _service("windows: no floor", "        -limit.cap_nano,\n", "        None,\n"),
    _service("windows: open ended", "        limit.ends_at_ms,\n", "        None,\n"),
    _service(
        "moves: only the last",
        "(posted_before + posted_nano, held_before + held_nano)",
        "(posted_nano, held_nano)",
    ),
    _service(
        "limits: funds count as limits",
        "            if is_limit(account_id):\n                # A",
        "            if True:\n                # A",
    ),
    _service("limits: count more than they held", "min(held_nano, charged_nano)", "charged_nano"),
    _service(
        "moves: a refusal is not noticed",
        "store.move(transaction, changes) == len(changes)",
        "store.move(transaction, changes) >= 0",
    ),
    _service("moves: sums may overflow", "possible and "),
    _service(
        "charge: nobody bears the overrun",
        "    if absorbed_nano:\n        entries.append((ABSORBED",
        "    if False:\n        entries.append((ABSORBED",
    ),
    # rules
    _rules("order: priority", "            a.priority,\n"),
    _rules("order: what never expires is first", "            a.expires_at_ms is None,\n"),
    _rules("order: expiry", "            a.expires_at_ms or 0,\n"),
    _rules("order: age", "            a.created_at_ms,\n"),
    _rules("order: name", "            a.id,\n"),
    _rules(
        "expired funds are money", "if a.expires_at_ms is None or a.expires_at_ms > now_ms]", "]"
    ),
    _rules(
        "expired funds are money a moment longer",
        "a.expires_at_ms > now_ms]",
        "a.expires_at_ms >= now_ms]",
    ),
    _rules("limits do not limit", "        if left_nano < amount_nano:", "        if False:"),
    _rules(
        "limits limit too early",
        "        if left_nano < amount_nano:",
        "        if left_nano <= amount_nano:",
    ),
    _rules(
        "the stored floor of a limit",
        "left_nano if stored_nano is None else min(left_nano, stored_nano)",
        "left_nano",
    ),
    _rules(
        "the cap of the wish",
        "left_nano if stored_nano is None else min(left_nano, stored_nano)",
        "left_nano if stored_nano is None else stored_nano",
    ),
    _rules("less than nothing is left of a limit", "max(left_nano, 0)", "left_nano"),
    _rules("less than nothing is left of funds", "max(spendable, 0))", "spendable)"),
    _rules("all from the first account", "min(missing_nano, max(spendable, 0))", "missing_nano"),
    _rules(
        "without floor there is nothing",
        "taken = missing_nano if spendable is None else",
        "taken = 0 if spendable is None else",
    ),
    _rules(
        "every account has a part",
        "        if taken:\n            parts",
        "        if True:\n            parts",
    ),
    _rules(
        "short funds are enough",
        "    if missing_nano:\n        in_flight",
        "    if False:\n        in_flight",
    ),
    _rules(
        "what is available is not told", "Short(None, amount_nano - missing_nano,", "Short(None, 0,"
    ),
    _rules(
        "limits are not held in", "    parts += [(account, amount_nano) for _, account in limits]\n"
    ),
    _rules("nothing is held", "        account.held_nano += taken\n", "        pass\n"),
    _rules("limits pay", "        if is_limit(account_id):\n            continue\n"),
    _rules(
        "the first account pays all", "share = min(held_nano, missing_nano)", "share = missing_nano"
    ),
    _rules("those who pay nothing are named", "        if share:", "        if True:"),
    _rules("every account pays all", "            missing_nano -= share\n"),
    _rules(
        "merged: limits among the funds",
        "sorted((*parts, *more), key=lambda part: is_limit(part[0]))",
        "(*parts, *more)",
    ),
    _rules("merged: only the last", "total.get(account_id, 0) + nano", "nano"),
    _rules("links do not link", "hashlib.sha256(previous + receipt)", "hashlib.sha256(receipt)"),
    # model
    _model(
        "a hold of nothing", "if not 0 < self.amount_nano <=", "if not 0 <= self.amount_nano <="
    ),
    _model("a hold of anything", "0 < self.amount_nano <= AMOUNT_MAX_NANO", "0 < self.amount_nano"),
    _model(
        "a negative bill", "if not 0 <= nano <= AMOUNT_MAX_NANO:", "if not nano <= AMOUNT_MAX_NANO:"
    ),
    _model("a bill of anything", "if not 0 <= nano <= AMOUNT_MAX_NANO:", "if not 0 <= nano:"),
    _model("a list price of anything", "(self.list_nano, self.net_nano)", "(self.net_nano,)"),
    _model("a net price of anything", "(self.list_nano, self.net_nano)", "(self.list_nano,)"),
    _model(
        "a posting that does not balance",
        "if total_nano != 0:",
        "if total_nano is None:",
    ),
    _model("a posting with an account twice", "!= len(self.entries):", "is None:"),
    _model("a posting of nothing", "if not 0 < abs(nano)", "if not 0 <= abs(nano)"),
    _model("a posting of anything", "< abs(nano) <= AMOUNT_MAX_NANO:", "< abs(nano):"),
    _model(
        "the floor is not looked at",
        "self.posted_nano - self.held_nano - self.floor_nano",
        "self.posted_nano - self.held_nano",
    ),
    _model(
        "what is held may be spent",
        "self.posted_nano - self.held_nano - self.floor_nano",
        "self.posted_nano - self.floor_nano",
    ),
    _model(
        "an account without floor has one",
        "        if self.floor_nano is None:\n            return None\n",
        "        self.floor_nano = self.floor_nano or 0\n",
    ),
    # receipts
    _receipts("voids have one", "if each.bill is not None]", "]"),
    _receipts("all are the first", "        ends[owner] = (sequence + 1, hashed)\n"),
    _receipts("the end is not kept", "    store.move_chains(transaction, ends)\n"),
    _receipts("no row", "    store.add_charges(transaction, rows)\n"),
    _receipts(
        "the rated amount is the charged one",
        "net_nano=str(settled.charged_nano)",
        "net_nano=str(bill.net_nano)",
    ),
    _receipts(
        "the loss is not told", "absorbed_nano=str(settled.absorbed_nano)", 'absorbed_nano="0"'
    ),
    _receipts("numbers as numbers", "list_nano=str(bill.list_nano)", "list_nano=bill.list_nano"),
    _receipts(
        "another order",
        "    request_id: str\n    organisation_id: str\n",
        "    organisation_id: str\n    request_id: str\n",
    ),
    # owners
    _owners("all end with one", "WHERE id = ?", "WHERE ? IS NOT NULL"),
    _owners("nobody else is dead", "WHERE id <> ?", "WHERE id = NULL AND id <> ?"),
    _owners("the one who asks is dead too", "WHERE id <> ?", "WHERE ? IS NOT NULL"),
    _owners("nobody is dead", "WHERE beat_at_ms < ?", "WHERE ? IS NULL"),
    _owners("dead a moment early", "beat_at_ms < ?", "beat_at_ms <= ?"),
    _owners(
        "a beat is not kept",
        "SET beat_at_ms = excluded.beat_at_ms",
        "SET beat_at_ms = instance.beat_at_ms",
    ),
]
