"""Of one request: what is kept of its answer, once it has ended."""

from typing import Any, Protocol, runtime_checkable

import msgspec

from portico.callers.model import Caller
from portico.keeping.model import Kept, KeptResponse

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

    id: str
    status: str = "completed"
    model: str = ""


_ended = msgspec.json.Decoder(_Ended)


class Keeper:
    """Belongs to its journey.

    request_id: of one in the background, the request that works on it; None: somebody waits.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        response_id: str,
        items: list[Any],
        stream: bool,
        previous_id: str | None,
        created_at_ms: int,
        keep_ms: int | None,
        bytes_max: int,
        request_id: str | None = None,
    ) -> None:
        """items: of its own input, see `rules.own_items`.  bytes_max: a larger one is not kept."""
        self._caller = caller
        self._response_id = response_id
        self._items = items
        self._stream = stream
        self._previous_id = previous_id
        self._created_at_ms = created_at_ms
        self._keep_ms = keep_ms
        self._bytes_max = bytes_max
        self.request_id = request_id
        self._teller: Teller | None = None
        self._model = ""
        self._whole = b""

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
        return self._kept(self._body(outcome))

    def _kept(self, body: bytes) -> KeptResponse | None:
        given = msgspec.json.encode(self._items)
        if not body or len(body) + len(given) > self._bytes_max:
            return None
        told = _ended.decode(body)
        caller = self._caller
        return KeptResponse(
            told.id,
            caller.organisation_id,
            caller.project_id,
            caller.key_id,
            caller.credential_id,
            self._model,
            told.status,
            self._stream,
            self._previous_id,
            given,
            body,
            self._created_at_ms,
            self._keep_ms,
            self.request_id,
        )

    def _body(self, outcome: str) -> bytes:
        if outcome in _WHOLE:
            return self._whole
        if self._teller is None:
            return b""
        return self._teller.broken("cancelled" if outcome in _CANCELLED else "failed")
