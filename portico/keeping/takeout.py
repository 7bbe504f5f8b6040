"""All rows that a project keeps, to be taken elsewhere: a page at a time, each in a moment of its own."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Row, Select, Table, select

from portico.db.tables import (
    batch,
    batch_line,
    conversation,
    conversation_item,
    file,
    idempotency_key,
    response,
    response_event,
    upload,
    upload_part,
)

_ROWS = 200
_OURS = frozenset({"credential_id", "fingerprint", "owner", "locked_by", "locked_until_ms"})
"""What says nothing to whoever reads it elsewhere."""
_JSON = frozenset({"metadata", "errors"})
"""Texts that are JSON."""

Read = Callable[[Callable[[Connection], Any]], Any]


@dataclass(frozen=True, slots=True)
class Part:
    """key: tells its rows apart, and orders them.  above: of rows that stand below another's: that
    table, and the column that names its row."""

    name: str
    table: Table
    key: Column[Any]
    above: tuple[Table, Column[str]] | None = None


PARTS = (
    Part("responses", response, response.c.id),
    Part(
        "response_events",
        response_event,
        response_event.c.sequence,
        (response, response_event.c.response_id),
    ),
    Part("conversations", conversation, conversation.c.id),
    Part(
        "conversation_items",
        conversation_item,
        conversation_item.c.position,
        (conversation, conversation_item.c.conversation_id),
    ),
    Part("batches", batch, batch.c.id),
    Part("batch_lines", batch_line, batch_line.c.number, (batch, batch_line.c.batch_id)),
    Part("files", file, file.c.id),
    Part("uploads", upload, upload.c.id),
    Part("upload_parts", upload_part, upload_part.c.id),
    Part("answers", idempotency_key, idempotency_key.c.key),
)


def pages(read: Read, part: Part, project_id: str) -> Iterator[list[dict[str, Any]]]:
    """As JSON has them.  read: runs a query."""
    if part.above is None:
        yield from _paged(
            read, part, select(part.table).where(part.table.c.project_id == project_id)
        )
        return
    table, parent = part.above
    for parents in _paged(read, Part("", table, table.c.id), _ids(table, project_id)):
        for each in parents:
            rows = select(part.table).join(table, table.c.id == parent)
            of_one = rows.where(table.c.project_id == project_id, parent == each["id"])
            yield from _paged(read, part, of_one)


def _ids(table: Table, project_id: str) -> Select[Any]:
    return select(table.c.id).where(table.c.project_id == project_id)


def _paged(read: Read, part: Part, query: Select[Any]) -> Iterator[list[dict[str, Any]]]:
    after: Any = None
    while True:
        some = query if after is None else query.where(part.key > after)
        rows = read(partial(_rows, query=some.order_by(part.key).limit(_ROWS)))
        if rows:
            yield [_told(dict(row._mapping)) for row in rows]
        if len(rows) < _ROWS:
            return
        after = rows[-1]._mapping[part.key.name]


def _rows(connection: Connection, query: Select[Any]) -> list[Row[Any]]:
    return list(connection.execute(query).all())


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items() if name not in _OURS}


def _value(name: str, value: Any) -> Any:
    """JSON as JSON, other bytes as text, and what is no text in Base64."""
    if isinstance(value, str) and name in _JSON:
        return msgspec.json.decode(value)
    if not isinstance(value, bytes | memoryview):
        return value
    raw = bytes(value)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode("ascii")}
