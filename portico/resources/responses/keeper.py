"""Of one request: what is kept of its answer, once it has ended."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import msgspec

from portico.callers.model import Caller
from portico.keeping.model import Kept, KeptResponse
from portico.keeping.rules import ROW_BYTES
from portico.resources.responses.items import identified
from portico.resources.responses.model import WHOLE

_WHOLE = frozenset({"completed", "out_of_funds"})
_CANCELLED = frozenset({"client_gone", "revoked"})
_AGAIN = "drained"
"""In the background such a one is made anew when this server, or another, comes back."""


@runtime_checkable
class Teller(Protocol):
    """A writer that can tell its answer as one object."""

    def whole(self) -> bytes:
        """Once the last delta was written; b"" where it cannot."""
        ...

    def broken(self, status: str) -> bytes:
        """As far as it came.  status: failed or cancelled."""
        ...

    def queued(self) -> bytes:
        """Before it was begun."""
        ...


class Collecting(Protocol):
    """Collects what is kept of one request."""

    def follow(self, teller: Teller, model: str) -> None:
        """teller: writes the answer, and can tell it."""
        ...

    def compose(self, end: bytes) -> None:
        """The answer is whole.  end: the last bytes of it, or all of one that is no stream."""
        ...

    def end(self, outcome: str) -> Kept | None:
        """See `metering.service.Keeper`."""
        ...


class _Ended(msgspec.Struct):
    """Of a response object: what its row says, too."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    status: Literal["queued", "completed", "incomplete", "failed", "cancelled"] = "completed"
    store: Any = None
    output: list[msgspec.Raw] = []


_ended = msgspec.json.Decoder(_Ended)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a response belongs.

    previous_id: what it follows; conversation_id: what it is added to, which `locked_by` keeps from
    others meanwhile.  taken: ids of the items that came before.
    """

    response_id: str
    previous_id: str | None = None
    conversation_id: str | None = None
    locked_by: str = ""
    taken: Collection[str] = ()


class Keeper:
    """Belongs to its journey.

    request_id: of one in the background, the request that works on it; None: somebody waits.
    """

    def __init__(
        self,
        caller: Caller,
        place: Place,
        *,
        items: Sequence[msgspec.Raw],
        stream: bool,
        created_at_ms: int,
        keep_ms: int | None,
        bytes_max: int,
        request_id: str | None = None,
    ) -> None:
        """items: of its own input.  bytes_max: a larger one is not kept."""
        self._caller = caller
        self._place = place
        self._items = items
        self._stream = stream
        self._created_at_ms = created_at_ms
        self._keep_ms = keep_ms
        self._bytes_max = bytes_max
        self.request_id = request_id
        self._teller: Teller | None = None
        self._model = ""
        self._whole = b""
        self.handed_over = False
        """What it gave ends the lock on its conversation, too."""
        self.kept_bytes = 0
        """Of what it gave last, as it counts for its project."""

    @property
    def project_id(self) -> str:
        return self._caller.project_id

    def follow(self, teller: Teller, model: str) -> None:
        self._teller, self._model = teller, model

    def compose(self, end: bytes) -> None:
        if self._teller is not None:
            self._whole = self._teller.whole()

    def waiting(self) -> KeptResponse | None:
        """As it is kept before anything is made of it; None where that is too large."""
        return None if self._teller is None else self._kept(self._teller.queued())

    def end(self, outcome: str) -> KeptResponse | None:
        if outcome == _AGAIN and self.request_id is not None:
            return None
        kept = self._kept(self._body(outcome))
        self.handed_over = kept is not None
        return kept

    def _kept(self, body: bytes) -> KeptResponse | None:
        place = self._place
        items = identified(self._items, place.response_id, place.taken)
        given = msgspec.json.encode(items)
        told = _told(body)
        if told is None or len(body) + len(given) > self._bytes_max:
            return None
        if told.store is not True:  # an engine's own, which is not asked to keep anything
            body = msgspec.json.encode({**_members.decode(body), "store": True})
        caller, added = self._caller, self._added(items, told)
        self.kept_bytes = len(body) + len(given) + ROW_BYTES
        self.kept_bytes += sum(len(each) + ROW_BYTES for each in added)
        return KeptResponse(
            told.id,
            caller.organisation_id,
            caller.project_id,
            caller.key_id,
            caller.credential_id,
            self._model,
            told.status,
            self._stream,
            place.previous_id,
            given,
            body,
            self._created_at_ms,
            self._keep_ms,
            self.request_id,
            place.conversation_id,
            added,
            place.locked_by,
        )

    def _added(self, items: list[Any], told: _Ended) -> tuple[bytes, ...]:
        """To its conversation.  What broke off is not: half a call would have no result ever."""
        if self._place.conversation_id is None or told.status not in WHOLE:
            return ()
        return (*map(msgspec.json.encode, items), *map(bytes, told.output))

    def _body(self, outcome: str) -> bytes:
        if outcome in _WHOLE:
            return self._whole
        if self._teller is None:
            return b""
        return self._teller.broken("cancelled" if outcome in _CANCELLED else "failed")


def _told(body: bytes) -> _Ended | None:
    """None of what is no response: engines answer as they like, and a record has to be closed."""
    try:
        return _ended.decode(body)
    except ValueError:
        return None
