"""Statements that name no tenant, and why that is right.  The list only grows with a reason."""

CREDENTIAL = (
    "finds whose credential it is: nothing else is known before, and nobody guesses a digest"
)
FOUND = "by the id of what its caller has looked up within the tenant, in the same transaction"
OURS = "by ids that Portico made for requests of its own: no caller can name one"
BASE = "is narrowed where it is used, by the functions beside it"
OPERATOR = "for the operator alone: a command, an audit, an export"
ROUNDS = "a timer's or the start's, over all organisations; what it does, it does row by row"
SNAPSHOT = "a snapshot of all tenants that the hot path looks one up in"
PERSON = "a person belongs to any number of organisations, and is known by an address of his own"
NAMED = "the organisation is in the statement, under another name: an account's id, an id"

UNSCOPED = {
    "portico/accounts/admin_keys/store.py": {"revoke": FOUND, "find": CREDENTIAL, "note_use": OURS},
    "portico/accounts/keys/store.py": {
        "organisation_of": FOUND,
        "by_digest": CREDENTIAL,
        "change": FOUND,
        "copy_limits": FOUND,
        "forget_ephemeral": FOUND,
        "ephemeral_of": FOUND,
    },
    "portico/accounts/limits/store.py": {"remove": FOUND},
    "portico/accounts/people/invitation_store.py": {"by_digest": CREDENTIAL, "change": FOUND},
    "portico/accounts/people/store.py": {
        "_MEMBER": BASE,
        "_PROJECT_MEMBER": BASE,
        "_ACCOUNT": BASE,
        "user_by_email": PERSON,
        "disable_account": FOUND,
    },
    "portico/accounts/projects/store.py": {"first_project": OPERATOR},
    "portico/admission/store.py": {"budgets": SNAPSHOT},
    "portico/audit/store.py": {"_ENTRIES": BASE, "heads": OPERATOR, "unsigned_ends": ROUNDS},
    "portico/billing/alerts/outbox.py": {"told": OPERATOR},
    "portico/billing/alerts/store.py": {"known": ROUNDS, "take_due": ROUNDS},
    "portico/billing/alerts/thresholds.py": {
        "set_rules": OPERATOR,
        "_rules": ROUNDS,
        "_crossed": ROUNDS,
    },
    "portico/billing/audit.py": {
        "balanced": OPERATOR,
        "projected": OPERATOR,
        "_spent_in_windows": OPERATOR,
        "_held": OPERATOR,
        "_timely": OPERATOR,
        "_debited": OPERATOR,
        "_floored": OPERATOR,
        "_chained": OPERATOR,
        "_rerated": OPERATOR,
        "_supplied": OPERATOR,
    },
    "portico/billing/budgets.py": {
        "_OWNER": OPERATOR,
        "remove_budget": OPERATOR,
        "budgets": OPERATOR,
    },
    "portico/billing/credits.py": {"expire": ROUNDS},
    "portico/billing/dunning/store.py": {"unsent": ROUNDS, "mark_sent": ROUNDS},
    "portico/billing/exports/service.py": {"_Names.__init__": OPERATOR},
    "portico/billing/invoices/store.py": {
        "organisation_name": NAMED,
        "_read": BASE,
        "outstanding": FOUND,
        "owed_nano": NAMED,
    },
    "portico/billing/payments/differences.py": {"clearing": OPERATOR},
    "portico/billing/payments/recharge_store.py": {"rules": ROUNDS},
    "portico/billing/payments/service.py": {"TopUps._customer": NAMED},
    "portico/billing/payments/store.py": {
        "_order": BASE,
        "due_orders": ROUNDS,
        "note_order": FOUND,
        "pay_order": FOUND,
        "fail_order": FOUND,
        "set_kind": FOUND,
    },
    "portico/billing/plans/store.py": {"end": OPERATOR, "granted": NAMED, "expiring": ROUNDS},
    "portico/billing/proofs/documents.py": {"document_of": OPERATOR},
    "portico/billing/proofs/heads.py": {
        "opened_keys": OPERATOR,
        "stored_heads": OPERATOR,
        "_grown": ROUNDS,
    },
    "portico/billing/proofs/verify.py": {
        "_Walk.__init__": OPERATOR,
        "_Paid.__init__": OPERATOR,
        "_check_orphans": OPERATOR,
    },
    "portico/callers/store.py": {"_KEYS": CREDENTIAL, "_AMONG": SNAPSHOT, "note_use": OURS},
    "portico/cli/doctor/facts.py": {"_keys": OPERATOR},
    "portico/cli/doctor/stored.py": {"_names": OPERATOR, "_waiting": OPERATOR},
    "portico/background/announcing.py": {"_unannounced": ROUNDS},
    "portico/resources/batches/operating.py": {"one": OPERATOR},
    "portico/resources/batches/store.py": {"claim": ROUNDS, "let_go": ROUNDS},
    "portico/resources/background/store.py": {
        "still": OURS,
        "recover": ROUNDS,
        "_TAKE": OURS,
    },
    "portico/keeping/store.py": {
        "most_ms": OURS,
        "unlock": OURS,
        "reopen_responses": OURS,
        "reopen_lines": OURS,
    },
    "portico/keeping/stock.py": {"restricted": ROUNDS, "expired": ROUNDS},
    "portico/keeping/survey.py": {"taken": ROUNDS, "bytes_by_kind": OPERATOR},
    "portico/ledger/ended.py": {"outcomes": OURS},
    "portico/ledger/store.py": {
        "_MOVE": OURS,
        "set_floor": OPERATOR,
        "open_holds": OURS,
        "known_holds": OURS,
        "widen_holds": OURS,
        "stale_holds": ROUNDS,
        "charge_of": OPERATOR,
    },
    "portico/metering/store.py": {
        "close_abandoned": ROUNDS,
        "close_swept": OURS,
        "checkpoints": OURS,
    },
    "portico/pricing/store.py": {"book": SNAPSHOT, "size": SNAPSHOT, "organisations": OPERATOR},
    "portico/rates/store.py": {"rules": SNAPSHOT},
    "portico/resources/files/store.py": {
        "known": ROUNDS,
        "stored": ROUNDS,
        "remove_uploads": ROUNDS,
    },
    "portico/replay/store.py": {
        "release": OURS,
        "finish": OURS,
        "under_zero_retention": OURS,
        "release_stale": ROUNDS,
        "purge": ROUNDS,
        "stored": FOUND,
    },
}
"""By file and function, or the name of a constant."""

SYSTEM_READS = {
    "portico/callers/service.py": CREDENTIAL,
    "portico/background/announcing.py": ROUNDS,
    "portico/background/batches.py": ROUNDS,
    "portico/background/expiring.py": ROUNDS,
    "portico/background/responses.py": ROUNDS,
    "portico/background/surveying.py": ROUNDS,
    "portico/background/weighing.py": ROUNDS,
    "portico/callers/deputies.py": OURS,
    "portico/callers/presence.py": SNAPSHOT,
    "portico/rates/service.py": SNAPSHOT,
    "portico/pricing/service.py": SNAPSHOT,
    "portico/admission/budgets.py": SNAPSHOT,
    "portico/resources/files/service.py": ROUNDS,
    "portico/admin/desk.py": "whose key it is comes out of the read; what follows is `within` him",
}
"""Reads while serving that are not made for one organisation (`Readers.run` without `tenant`)."""
