"""Conversations, for their callers: made, read, changed, deleted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.keeping import service as keeping
from portico.keeping.room import Room
from portico.keeping.rules import ROW_BYTES
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.resources.conversations import store
from portico.resources.conversations.model import Conversation, Entry
from portico.resources.conversations.rules import (
    check_kept,
    check_room,
    locked,
    no_item,
    not_found,
    nothing_kept,
)
from portico.resources.items import unknown_edge
from portico.resources.pages import Window

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """keep_ms: from the making of each; None: until it is deleted.
    items_max, bytes_max: in one."""

    keep_ms: int | None
    items_max: int
    bytes_max: int

    def expires_at_ms(self, caller: Caller, now_ms: int) -> int | None:
        """By these or by the project, whichever is sooner."""
        spans = [each for each in (self.keep_ms, caller.content_ms_max) if each is not None]
        return now_ms + min(spans) if spans else None


class Conversations:
    """room: what projects may keep."""

    def __init__(
        self, writer: Writer, readers: Readers, clock: Clock, limits: Limits, room: Room
    ) -> None:
        self._room = room
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._limits = limits

    async def make(
        self,
        caller: Caller,
        items: Sequence[Any],
        metadata: dict[str, str],
        before: Callable[[Connection, Conversation], None] | None = None,
    ) -> Conversation:
        """items: checked.  before: done in the same commit, in front of it.

        Raises: Refusal: zero_retention, storage_quota_exceeded, body_too_large; what `before` raises."""
        check_kept(caller)
        full = self._room.refusal(caller.project_id)
        now_ms, entries = self._clock.wall_ms(), _named(items)
        made = Conversation(
            new_id("conv"),
            caller.organisation_id,
            caller.project_id,
            metadata,
            now_ms,
            self._limits.expires_at_ms(caller, now_ms),
        )
        self._check_room(made.id, (0, 0), entries)

        def write(connection: Connection) -> None:
            if before is not None:
                before(connection, made)
            _check_still(connection, caller, full)
            store.add(connection, made)
            store.extend(connection, made, entries, now_ms)

        await self._writer.run(write)
        self._room.grew(caller.project_id, ROW_BYTES + _size(entries))
        return made

    async def get(self, caller: Caller, conversation_id: str) -> Conversation:
        """Raises: Refusal: resource_not_found, as all of these."""
        return await self._read(caller, conversation_id, lambda _, found: found)

    async def change(
        self, caller: Caller, conversation_id: str, metadata: dict[str, str]
    ) -> Conversation:
        text, now_ms = msgspec.json.encode(metadata).decode(), self._clock.wall_ms()
        changed = await self._writer.run(
            lambda connection: store.change(connection, caller, conversation_id, text, now_ms)
        )
        if changed is None:
            raise not_found(conversation_id)
        return changed

    async def delete(self, caller: Caller, conversation_id: str) -> None:
        now_ms = self._clock.wall_ms()
        removed = await self._writer.run(
            lambda connection: store.remove(connection, caller, conversation_id, now_ms)
        )
        if not removed:
            raise not_found(conversation_id)
        self._room.shrank(caller.project_id)

    async def add(
        self,
        caller: Caller,
        conversation_id: str,
        items: Sequence[Any],
        before: Callable[[Connection, list[bytes]], None] | None = None,
    ) -> list[bytes]:
        """As they stand in it, with their ids.

        Raises: Refusal: conversation_locked, storage_quota_exceeded, out_of_range, body_too_large; as
        `make`."""
        check_kept(caller)
        full = self._room.refusal(caller.project_id)
        entries, now_ms = _named(items), self._clock.wall_ms()
        added = [item for _, item in entries]

        def write(connection: Connection) -> None:
            if before is not None:
                before(connection, added)
            _check_still(connection, caller, full)
            found = store.one(connection, caller, conversation_id, now_ms, to_change=True)
            if found is None:
                raise not_found(conversation_id)
            if store.is_locked(connection, found, now_ms):
                raise locked(conversation_id)
            size = store.size_of(connection, found.organisation_id, found.id)
            self._check_room(found.id, size, entries)
            store.extend(connection, found, entries, now_ms)

        await self._writer.run(write)
        self._room.grew(caller.project_id, _size(entries))
        return added

    async def page(self, caller: Caller, conversation_id: str, window: Window) -> list[Entry]:
        """One more than it holds where there are more."""

        def read(connection: Connection, found: Conversation) -> list[Entry]:
            edge = None
            if window.after:
                behind = store.entry(connection, found.organisation_id, found.id, window.after)
                if behind is None:
                    raise unknown_edge("after", window.after)
                edge = behind.position
            return store.page(connection, found.organisation_id, found.id, window, edge)

        return await self._read(caller, conversation_id, read)

    async def item(self, caller: Caller, conversation_id: str, item_id: str) -> Entry:
        def read(connection: Connection, found: Conversation) -> Entry:
            entry = store.entry(connection, found.organisation_id, found.id, item_id)
            if entry is None:
                raise no_item(item_id)
            return entry

        return await self._read(caller, conversation_id, read)

    async def delete_item(self, caller: Caller, conversation_id: str, item_id: str) -> Conversation:
        """What it was taken from."""
        now_ms = self._clock.wall_ms()

        def write(connection: Connection) -> Conversation:
            found = store.one(connection, caller, conversation_id, now_ms, to_change=True)
            if found is None:
                raise not_found(conversation_id)
            if not store.remove_item(connection, found.organisation_id, found.id, item_id):
                raise no_item(item_id)
            return found

        left = await self._writer.run(write)
        self._room.shrank(caller.project_id)
        return left

    async def _read(
        self,
        caller: Caller,
        conversation_id: str,
        read: Callable[[Connection, Conversation], T],
    ) -> T:
        now_ms = self._clock.wall_ms()

        def find(connection: Connection) -> T:
            found = store.one(connection, caller, conversation_id, now_ms)
            if found is None:
                raise not_found(conversation_id)
            return read(connection, found)

        return await self._readers.run(find, tenant=caller.organisation_id)

    def _check_room(
        self, conversation_id: str, size: tuple[int, int], more: Sequence[tuple[str, bytes]]
    ) -> None:
        count, size_bytes = size
        size_bytes += sum(len(item) for _, item in more)
        limits = self._limits
        check_room(
            conversation_id, count + len(more), size_bytes, limits.items_max, limits.bytes_max
        )


def _check_still(connection: Connection, caller: Caller, full: Refusal | None) -> None:
    """full: why nothing more is kept.

    Raises: Refusal: zero_retention, where the project has turned to it since; `full`."""
    if not keeping.keeps(Transaction(connection), caller.project_id):
        raise nothing_kept()
    if full is not None:
        raise full


def _size(entries: Sequence[tuple[str, bytes]]) -> int:
    """As they count for their project."""
    return sum(len(item) + ROW_BYTES for _, item in entries)


def _named(items: Sequence[Any]) -> list[tuple[str, bytes]]:
    """Each with an id of ours, whatever it came with: who adds the same twice means two."""
    named = []
    for item in items:
        item_id = new_id("msg" if item["type"] == "message" else "item")
        done = {"status": "completed"} if item["type"] == "message" else {}
        named.append((item_id, msgspec.json.encode({**done, **item, "id": item_id})))
    return named
