"""The verbs of claims: take, finish, release, purge.  Each takes a whole batch inside the caller's
transaction, and may run again after a commit whose fate is unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from portico.db.transaction import Row, Transaction
from portico.replay import store
from portico.replay.model import Ended, Place, Release, Standing, Wish
from portico.replay.rules import is_free

_PURGED_AT_ONCE = 100
"""Answers may be large: nobody else should wait for all of them to be deleted."""


def take(
    transaction: Transaction,
    items: Sequence[Wish | Release],
    now_ms: int,
    owner: str,
    expires_at_ms: int,
) -> list[Standing | None]:
    """Keys taken and given back, in the order given; for each wish who has its key now, which is
    the request itself where it was free.

    owner: the serving process that answers for these claims.
    """
    book = store.lock(transaction, sorted({each.place for each in items}))
    new: dict[Place, Wish] = {}
    released: list[str] = []
    expired: list[Place] = []
    answers: list[Standing | None] = []
    for item in items:
        standing = book.get(item.place)
        if isinstance(item, Release):
            if standing is not None and _has(item, standing):
                released.append(item.request_id)
                del book[item.place]
                new.pop(item.place, None)
            answers.append(None)
            continue
        if is_free(standing, now_ms):
            if standing is not None:
                expired.append(item.place)
            standing = Standing(item.request_id, item.fingerprint, "open", expires_at_ms)
            new[item.place], book[item.place] = item, standing
        answers.append(standing)
    store.release(transaction, released)
    store.forget(transaction, expired, now_ms)
    store.add(transaction, [new[place] for place in sorted(new)], owner, now_ms, expires_at_ms)
    return answers


def _has(item: Release, standing: Standing) -> bool:
    return standing.request_id == item.request_id and standing.state == "open"


def finish(
    transaction: Transaction,
    ended: Sequence[Ended],
    charged_nano: Mapping[str, int],
    now_ms: int,
) -> None:
    """End claims, in the commit that settles their requests.

    charged_nano: by request id; none where nothing was set aside.
    What its project decided while it ran counts: an answer is not kept under zero retention.
    """
    store.release(transaction, [each.request_id for each in ended if each.keep_ms is None])
    answered = [each.request_id for each in ended if each.answer is not None]
    secret = store.under_zero_retention(transaction, answered)
    done = [
        _done_row(
            replace(each, answer=None) if each.request_id in secret else each,
            charged_nano.get(each.request_id),
            now_ms + each.keep_ms,
        )
        for each in ended
        if each.keep_ms is not None
    ]
    store.finish(transaction, done)


def _done_row(ended: Ended, charged_nano: int | None, expires_at_ms: int) -> Row:
    answer = ended.answer
    if answer is None:
        return (0, b"", 0, None, expires_at_ms, ended.request_id)
    body = answer.body(charged_nano)
    return (
        answer.status,
        answer.head,
        int(answer.stream),
        body,
        expires_at_ms,
        ended.request_id,
    )


def release(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """Free the keys of these requests; which of them still had theirs."""
    return store.release(transaction, ids)


def release_stale(transaction: Transaction, now_ms: int) -> int:
    """Free what dead processes left open.  Only where none of their holds is open any more: a
    retry must not run beside money that is still set aside for the first one.  How many."""
    return store.release_stale(transaction, now_ms)


def drop_answers(transaction: Transaction, project_id: str) -> int:
    """Of a project that has none of its contents kept any more.  Its keys stay what they are: a
    retry is refused instead of charged again.  How many."""
    return store.drop_answers(transaction, project_id)


def purge(transaction: Transaction, now_ms: int) -> bool:
    """Forget some answers whose time is over.  True: there may be more."""
    return store.purge(transaction, now_ms, _PURGED_AT_ONCE) == _PURGED_AT_ONCE
