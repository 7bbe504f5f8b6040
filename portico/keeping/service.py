"""The verbs inside a transaction."""

from collections.abc import Sequence

from portico.db.transaction import Transaction
from portico.keeping import store
from portico.keeping.model import Kept, KeptLine, KeptResponse


def write(transaction: Transaction, kept: Sequence[Kept], now_ms: int) -> None:
    """In the commit that settles their requests.  It may come twice.

    What their project decided while they ran counts: nothing is kept under zero retention.
    """
    responses = [each for each in kept if isinstance(each, KeptResponse)]
    lines = [each for each in kept if isinstance(each, KeptLine)]
    if responses:
        _responses(transaction, responses, now_ms)
    for line in lines:
        store.answer(transaction, line)


def release(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """These requests died with their process: whatever they worked on is open again, for another.
    Which of them worked on something: what is made anew is not paid for now."""
    return store.reopen_responses(transaction, ids) | store.reopen_lines(transaction, ids)


def keeps(transaction: Transaction, project_id: str) -> bool:
    """Whether anything may be kept of it now, whatever a caller was told a moment ago."""
    return not store.under_zero_retention(transaction, {project_id})


def drop(transaction: Transaction, project_id: str) -> None:
    """What a project has decided not to keep any more."""
    store.drop(transaction, project_id)


def _responses(transaction: Transaction, responses: Sequence[KeptResponse], now_ms: int) -> None:
    secret = store.under_zero_retention(transaction, {each.project_id for each in responses})
    for each in responses:
        fresh = each.project_id not in secret and store.put(transaction, each, now_ms)
        if each.conversation_id is None:
            continue
        # In the order in which locks are taken everywhere: first who may, then what is added.
        held = store.unlock(transaction, each.conversation_id, each.locked_by)
        if fresh and held:
            store.append(transaction, each, now_ms)
