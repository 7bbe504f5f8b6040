"""What came before a request, found and put in front of its input."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.resources.conversations import store as conversations
from portico.resources.conversations.rules import not_found
from portico.resources.responses import store
from portico.resources.responses.items import (
    Given,
    given_in,
    ids_of,
    items_of,
    resolved,
    responses_of,
)
from portico.resources.responses.model import Keeping
from portico.resources.responses.rules import (
    Said,
    check_chain,
    check_size,
    check_store,
    context_of,
    conversation_of,
    lasting,
    said_in,
)

_document = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request says of it.  field: which of the two ids is given, "" for neither."""

    said: Said
    field: str
    id: str
    given: Given

    @property
    def previous_id(self) -> str | None:
        return self.id if self.field == "previous_response_id" else None

    @property
    def conversation_id(self) -> str | None:
        return self.id if self.field == "conversation" else None


@dataclass(frozen=True, slots=True)
class Joined:
    """
    body: the request, with all that came before in its input.
    before: how many items that are.  taken: their ids, where anybody needs to know them.
    given: its own items.
    """

    body: bytes
    before: int
    taken: Collection[str]
    given: Given


def asked_in(body: bytes, caller: Caller) -> Asked | None:
    """None where its dialect says what is wrong with it.  Raises: Refusal."""
    said = said_in(body)
    if said is None:
        return None
    check_store(said, caller)
    previous_id, given = said.previous_response_id, given_in(said.input)
    conversation_id = conversation_of(said.conversation)
    if given is None or not isinstance(previous_id, str | None):
        return None
    if previous_id is not None:
        return Asked(said, "previous_response_id", previous_id, given)
    if conversation_id is not None:
        return Asked(said, "conversation", conversation_id, given)
    return Asked(said, "", "", given)


class Contexts:
    """keeping: how much may come before."""

    def __init__(self, readers: Readers, clock: Clock, keeping: Keeping) -> None:
        self._readers = readers
        self._clock = clock
        self._keeping = keeping

    async def join(self, body: bytes, caller: Caller, asked: Asked) -> Joined:
        """Raises: Refusal: previous_response_not_found, resource_not_found, conflict,
        invalid_value, out_of_range, body_too_large."""
        given = asked.given
        if not asked.field and not given.references:
            return Joined(body, 0, (), given)
        before, taken, given = await self._readers.run(
            lambda connection: self._found(connection, caller, asked),
            tenant=caller.organisation_id,
        )
        document = {**_document.decode(body), "input": [*before, *given.items]}
        return Joined(msgspec.json.encode(document), len(before), taken, given)

    def _found(
        self, connection: Connection, caller: Caller, asked: Asked
    ) -> tuple[list[msgspec.Raw], Collection[str], Given]:
        """On the reader's thread: a long context is decoded there."""
        before: list[msgspec.Raw] = []
        if asked.previous_id is not None:
            before = self._chain(connection, caller, asked.previous_id)
        elif asked.conversation_id is not None:
            before = self._conversation(connection, caller, asked.conversation_id)
        references = asked.given.references.values()
        if asked.conversation_id is None and not references:
            return before, (), asked.given
        taken = ids_of(before)
        elsewhere = [each for each in references if each not in taken]
        found = self._elsewhere(connection, caller, elsewhere) if elsewhere else {}
        return before, taken, resolved(asked.given, taken, found)

    def _chain(self, connection: Connection, caller: Caller, response_id: str) -> list[msgspec.Raw]:
        keeping, now_ms, project_id = self._keeping, self._clock.wall_ms(), caller.project_id
        found = store.steps(connection, project_id, response_id, keeping.links_max, now_ms)
        ids = check_chain(response_id, found, keeping)
        return context_of(store.links(connection, project_id, ids, now_ms), now_ms)

    def _conversation(
        self, connection: Connection, caller: Caller, conversation_id: str
    ) -> list[msgspec.Raw]:
        now_ms = self._clock.wall_ms()
        found = conversations.one(connection, caller, conversation_id, now_ms)
        if found is None:
            raise not_found(conversation_id, "conversation")
        organisation_id = found.organisation_id
        _, size_bytes = conversations.size_of(connection, organisation_id, found.id)
        check_size("conversation", size_bytes, self._keeping)
        entries = conversations.entries(connection, organisation_id, found.id)
        return [lasting(msgspec.Raw(entry.item), now_ms) for entry in entries]

    def _elsewhere(
        self, connection: Connection, caller: Caller, references: Sequence[str]
    ) -> Mapping[str, msgspec.Raw]:
        """Items of other responses, by the ids that begin with theirs."""
        keeping, now_ms, project_id = self._keeping, self._clock.wall_ms(), caller.project_id
        ids = responses_of(references)[: keeping.links_max]
        check_size("input", store.size_bytes(connection, project_id, ids, now_ms), keeping)
        links = store.links(connection, project_id, ids, now_ms)
        return ids_of([item for link in links for item in items_of(link)])
