"""The verbs inside a transaction."""

from collections.abc import Sequence

from portico.db.transaction import Transaction
from portico.keeping import store
from portico.keeping.model import Kept, KeptLine, KeptResponse
from portico.keeping.rules import expiry_ms

_DROPPED_AT_ONCE = 500


def write(transaction: Transaction, kept: Sequence[Kept], now_ms: int) -> None:
    """In the commit that settles their requests.  It may come twice.

    What their project decided while they ran counts: nothing is kept under zero retention, and
    nothing longer than its days.
    """
    responses = [each for each in kept if isinstance(each, KeptResponse)]
    lines = [each for each in kept if isinstance(each, KeptLine)]
    if responses:
        _responses(transaction, responses, now_ms)
    for line in lines:
        store.answer(transaction, line)


def disowned(transaction: Transaction, kept: Sequence[Kept]) -> set[str]:
    """Requests whose line, or whose response in the background, is somebody else's by now: their
    process was taken for dead.  They are not paid for, or it would be paid for twice."""
    found = set()
    for each in kept:
        if isinstance(each, KeptLine):
            if store.is_others_line(transaction, each):
                found.add(each.request_id)
        elif each.request_id is not None and store.is_of_another(transaction, each):
            found.add(each.request_id)
    return found


def release(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """These requests died with their process: whatever they worked on is open again, for another.
    Which of them worked on something: what is made anew is not paid for now."""
    return store.reopen_responses(transaction, ids) | store.reopen_lines(transaction, ids)


def keeps(transaction: Transaction, project_id: str) -> bool:
    """Whether anything may be kept of it now, whatever a caller was told a moment ago."""
    return store.most_ms(transaction, {project_id}).get(project_id) != 0


def until_ms(
    transaction: Transaction, project_id: str, since_ms: int, expires_at_ms: int | None
) -> int | None:
    """When something new goes, by what its project says now.  since_ms: what that counts from."""
    most = store.most_ms(transaction, {project_id})
    return expiry_ms(expires_at_ms, since_ms, most.get(project_id))


def drop(transaction: Transaction, project_id: str) -> None:
    """What a project has decided not to keep any more: as much as others can wait for.  What is
    left, and all that is more than a row, `background.expiring` takes within a minute."""
    store.drop(transaction, project_id, _DROPPED_AT_ONCE)


def _responses(transaction: Transaction, responses: Sequence[KeptResponse], now_ms: int) -> None:
    most = store.most_ms(transaction, {each.project_id for each in responses})
    for each in responses:
        most_ms = most.get(each.project_id)
        own_ms = None if each.keep_ms is None else now_ms + each.keep_ms
        until = expiry_ms(own_ms, now_ms, most_ms)
        fresh = most_ms != 0 and store.put(transaction, each, now_ms, until)
        if each.conversation_id is None:
            continue
        # In the order in which locks are taken everywhere: first who may, then what is added.
        held = store.unlock(transaction, each.conversation_id, each.locked_by)
        if fresh and held:
            store.append(transaction, each, now_ms)
