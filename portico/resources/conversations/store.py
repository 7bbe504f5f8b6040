"""The rows of conversations and of what is said in them.  Requests add to them in `keeping`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from portico.callers.model import Caller
from portico.db.tables import conversation, conversation_item
from portico.db.transaction import Transaction
from portico.resources.conversations.model import Conversation, Entry, Lock
from portico.resources.pages import Window

_SHOWN = [conversation.c[name] for name in Conversation.__dataclass_fields__]
_ENTRY = [conversation_item.c[name] for name in Entry.__dataclass_fields__]
_LOCK = (
    "UPDATE conversation SET locked_by = ?, locked_until_ms = ?"
    " WHERE id = ? AND project_id = ? AND organisation_id = ?"
    " AND (expires_at_ms IS NULL OR expires_at_ms > ?)"
    " AND (locked_by IS NULL OR locked_by = ? OR locked_until_ms <= ?)"
)


def add(connection: Connection, made: Conversation) -> None:
    values = {name: getattr(made, name) for name in Conversation.__dataclass_fields__}
    values["metadata"] = msgspec.json.encode(made.metadata).decode()
    connection.execute(insert(conversation).values(**values))


def one(
    connection: Connection,
    whose: Caller,
    conversation_id: str,
    now_ms: int,
    *,
    to_change: bool = False,
) -> Conversation | None:
    """to_change: nobody else may before this transaction ends."""
    query = select(*_SHOWN).where(*_is(whose, conversation_id, now_ms))
    row = connection.execute(query.with_for_update() if to_change else query).one_or_none()
    return None if row is None else _conversation(row)


def change(
    connection: Connection, whose: Caller, conversation_id: str, metadata: str, now_ms: int
) -> Conversation | None:
    """As it is afterwards.  None where there is none."""
    changed = update(conversation).where(*_is(whose, conversation_id, now_ms))
    row = connection.execute(changed.values(metadata=metadata).returning(*_SHOWN)).one_or_none()
    return None if row is None else _conversation(row)


def remove(connection: Connection, whose: Caller, conversation_id: str, now_ms: int) -> bool:
    """With all that was said in it.  False where there was none."""
    gone = delete(conversation).where(*_is(whose, conversation_id, now_ms))
    return connection.execute(gone).rowcount == 1


# -- what is said in it ----------------------------------------------------------------------


def extend(
    connection: Connection, of: Conversation, items: Sequence[tuple[str, bytes]], now_ms: int
) -> None:
    """items: ids and JSON.  In the transaction that has found `of`, and locked it."""
    query = _items(
        of.organisation_id, of.id, func.coalesce(func.max(conversation_item.c.position), 0)
    )
    last = connection.execute(query).scalar_one()
    rows = [
        {
            "conversation_id": of.id,
            "position": position,
            "organisation_id": of.organisation_id,
            "id": item_id,
            "item": item,
            "created_at_ms": now_ms,
        }
        for position, (item_id, item) in enumerate(items, last + 1)
    ]
    if rows:
        connection.execute(insert(conversation_item), rows)


def size_of(connection: Connection, organisation_id: str, conversation_id: str) -> tuple[int, int]:
    """How many items it has, and their bytes."""
    size = func.coalesce(func.sum(func.length(conversation_item.c.item)), 0)
    query = _items(organisation_id, conversation_id, func.count(), size)
    count, size_bytes = connection.execute(query).one()
    return int(count), int(size_bytes)


def entries(connection: Connection, organisation_id: str, conversation_id: str) -> list[Entry]:
    """All of them, in their order."""
    query = _items(organisation_id, conversation_id, *_ENTRY)
    return [Entry(*row) for row in connection.execute(query.order_by(conversation_item.c.position))]


def entry(
    connection: Connection, organisation_id: str, conversation_id: str, item_id: str
) -> Entry | None:
    query = _items(organisation_id, conversation_id, *_ENTRY)
    row = connection.execute(query.where(conversation_item.c.id == item_id)).one_or_none()
    return None if row is None else Entry(*row)


def page(
    connection: Connection,
    organisation_id: str,
    conversation_id: str,
    window: Window,
    edge: int | None,
) -> list[Entry]:
    """One more than the page holds.  edge: the position it lies behind, in the order asked for;
    None: it is the first."""
    query, place = _items(organisation_id, conversation_id, *_ENTRY), conversation_item.c.position
    if edge is not None:
        query = query.where(place < edge if window.newest_first else place > edge)
    falling = place.desc() if window.newest_first else place.asc()
    query = query.order_by(falling).limit(window.limit + 1)
    return [Entry(*row) for row in connection.execute(query)]


def remove_item(
    connection: Connection, organisation_id: str, conversation_id: str, item_id: str
) -> bool:
    """False where there was none."""
    gone = delete(conversation_item).where(
        conversation_item.c.conversation_id == conversation_id,
        conversation_item.c.organisation_id == organisation_id,
        conversation_item.c.id == item_id,
    )
    return connection.execute(gone).rowcount == 1


# -- who may add to it -----------------------------------------------------------------------


def lock(transaction: Transaction, asked: Lock, now_ms: int, until_ms: int) -> bool:
    """False where another request has it, or there is none.  It may come twice."""
    return (
        transaction.run(
            _LOCK,
            (
                asked.locked_by,
                until_ms,
                asked.conversation_id,
                asked.project_id,
                asked.organisation_id,
                now_ms,
                asked.locked_by,
                now_ms,
            ),
        )
        == 1
    )


def exists(transaction: Transaction, asked: Lock, now_ms: int) -> bool:
    return bool(
        transaction.rows(
            "SELECT id FROM conversation WHERE id = ? AND project_id = ? AND organisation_id = ?"
            " AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
            (asked.conversation_id, asked.project_id, asked.organisation_id, now_ms),
        )
    )


def unlock(transaction: Transaction, held: Lock) -> None:
    transaction.run(
        "UPDATE conversation SET locked_by = NULL, locked_until_ms = NULL"
        " WHERE id = ? AND organisation_id = ? AND locked_by = ?",
        (held.conversation_id, held.organisation_id, held.locked_by),
    )


def prolong(transaction: Transaction, held: Lock, until_ms: int) -> None:
    transaction.run(
        "UPDATE conversation SET locked_until_ms = ?"
        " WHERE id = ? AND organisation_id = ? AND locked_by = ?",
        (until_ms, held.conversation_id, held.organisation_id, held.locked_by),
    )


def is_locked(connection: Connection, of: Conversation, now_ms: int) -> bool:
    query = select(conversation.c.id).where(
        conversation.c.id == of.id,
        conversation.c.project_id == of.project_id,
        conversation.c.locked_by.is_not(None),
        conversation.c.locked_until_ms > now_ms,
    )
    return connection.execute(query).first() is not None


def _is(
    whose: Caller, conversation_id: str, now_ms: int
) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    """What has expired is not there, though it may not be gone yet."""
    return (
        conversation.c.id == conversation_id,
        conversation.c.organisation_id == whose.organisation_id,
        conversation.c.project_id == whose.project_id,
        or_(conversation.c.expires_at_ms.is_(None), conversation.c.expires_at_ms > now_ms),
    )


def _items(organisation_id: str, conversation_id: str, *columns: Any) -> Select[Any]:
    return select(*columns).where(
        conversation_item.c.conversation_id == conversation_id,
        conversation_item.c.organisation_id == organisation_id,
    )


def _conversation(row: Row[Any]) -> Conversation:
    facts = dict(row._mapping)
    facts["metadata"] = msgspec.json.decode(facts["metadata"])
    return Conversation(**facts)
