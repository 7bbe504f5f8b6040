"""From a request that says what came before it to one that holds it, and who keeps its answer."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.dialects.body import json_object, without_bom
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.resources.responses import store
from portico.resources.responses.keeper import Collecting, Keeper
from portico.resources.responses.model import Keeping, Link
from portico.resources.responses.rules import (
    NOT_KEPT,
    as_sent,
    check_chain,
    check_store,
    context_of,
    own_items,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """
    body: the request, with all that came before in its input.  before: how many items that are.
    keeper: None where nothing is kept.  warnings: what is not done of what was asked.
    background: it is to be answered later, and nobody waits.
    created_s: Unix time, of one that was asked for before; None: now.
    tier: what it is priced as, whatever it says; "" where it says so itself.
    """

    body: bytes
    keeper: Collecting | None
    before: int = 0
    warnings: tuple[str, ...] = ()
    background: bool = False
    created_s: int | None = None
    tier: str = ""

    @property
    def kept(self) -> bool:
        """Can it be followed by others?"""
        return isinstance(self.keeper, Keeper)

    def as_sent(self, refusal: Refusal) -> Refusal:
        """`refusal`, about the request as its caller sent it."""
        return as_sent(refusal, self.before)


class States:
    """One event loop owns this object."""

    def __init__(self, readers: Readers, clock: Clock, keeping: Keeping) -> None:
        self._readers = readers
        self._clock = clock
        self._keeping = keeping

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """answer_id: what the response is called after.

        Raises: Refusal: what is wrong with the body; previous_response_not_found, conflict.
        """
        document = json_object(without_bom(body))
        check_store(document, caller)
        previous_id = document.get("previous_response_id")
        response_id = f"resp_{answer_id.removeprefix('req_')}"
        items = own_items(document.get("input"), response_id)
        before: list[Any] = []
        if isinstance(previous_id, str):
            before = list(context_of(await self._chain(caller, previous_id)))
            body = msgspec.json.encode({**document, "input": [*before, *items]})
        store_it = self._keeping.by_default if document.get("store") is None else document["store"]
        background = document.get("background") is True
        store_it = store_it or background  # `check_store` has refused what says otherwise
        warnings: tuple[str, ...] = ()
        if store_it and caller.content_ms_max == 0:
            store_it, warnings = False, (NOT_KEPT,) if document.get("store") else ()
        keeper = None
        if store_it:
            keeper = Keeper(
                caller,
                response_id=response_id,
                items=items,
                stream=document.get("stream") is True,
                previous_id=previous_id if isinstance(previous_id, str) else None,
                created_at_ms=self._clock.wall_ms(),
                keep_ms=self._keep_ms(caller),
                bytes_max=self._keeping.response_bytes_max,
            )
        return Turn(body, keeper, len(before), warnings, background)

    def _keep_ms(self, caller: Caller) -> int:
        """Of what it was asked, or the project lets, the shorter."""
        most = caller.content_ms_max
        return self._keeping.keep_ms if most is None else min(self._keeping.keep_ms, most)

    async def _chain(self, caller: Caller, response_id: str) -> list[Link]:
        """What is followed, the newest first.  Raises: Refusal."""
        keeping = self._keeping

        def read(connection: Connection) -> list[Link]:
            project_id = caller.project_id
            found = store.sizes(connection, project_id, response_id, keeping.links_max)
            ids = check_chain(response_id, found, keeping)
            return store.links(connection, project_id, ids)

        return await self._readers.run(read, tenant=caller.organisation_id)
