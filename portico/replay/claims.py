"""Taking keys: a request that names one waits until its claim is on disk, and for nothing else."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from portico import errors
from portico.db.lane import Row
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.kit.clock import Clock
from portico.replay import service, store
from portico.replay.claim import Claim, Observer
from portico.replay.model import Release, Replayed, Standing, Wish
from portico.replay.rules import in_use, key_of, not_kept, objection
from portico.replay.shelf import Shelves

_HASHED_INLINE_BYTES_MAX = 1_048_576
"""Beyond it, hashing would hold up every other stream on the loop for milliseconds."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """answer_bytes_max: a larger answer is not kept.
    bytes_per_project_max: an answer that all of a project's would exceed it with is not, either.
    keep_ms: how long an answer is, from its end.
    open_ms: after this an open claim belongs to the sweeper; longer than any request.
    """

    answer_bytes_max: int
    bytes_per_project_max: int
    keep_ms: int
    open_ms: int


class ClaimLane:
    """What the writer does with keys: see `db.lane.Lane`."""

    name = "claim"

    def __init__(self, clock: Clock, owner: str, open_ms: int) -> None:
        self._clock = clock
        self._owner = owner
        self._open_ms = open_ms

    def write(
        self, transaction: Transaction, items: Sequence[Wish | Release]
    ) -> Sequence[Standing | None]:
        now_ms = self._clock.wall_ms()
        return service.take(transaction, items, now_ms, self._owner, now_ms + self._open_ms)

    def keep(self, item: Wish | Release) -> Row | None:
        """Only what is given back: nothing runs on a claim that is not in the database."""
        return (item.request_id,) if isinstance(item, Release) else None

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        service.release(transaction, [row[0] for row in rows])

    def bare(self, row: Row) -> Row:
        return row


class Claims:
    """Made before `writer.start()`.  One event loop owns this object.

    owner: this serving process, as its claims name it.
    """

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        clock: Clock,
        owner: str,
        keeping: Keeping,
        observer: Observer,
    ) -> None:
        self._shelves = Shelves(readers, clock, keeping.bytes_per_project_max)
        self._observer = observer
        self._writer = writer
        self._readers = readers
        self._keeping = keeping
        self._lane = ClaimLane(clock, owner, keeping.open_ms)
        writer.add_lane(self._lane)

    async def take(
        self,
        request_id: str,
        project_id: str,
        header: bytes,
        target: bytes,
        body: bytes,
        content_ms_max: int | None = None,
        tenant: str | None = None,
    ) -> Claim:
        """Returns once the claim is on disk.

        header: Idempotency-Key as sent.  target: method and path.  body: decoded.
        content_ms_max: see `Claim`.  tenant: see `Readers.submit`.
        Raises: Replayed, where the request was answered before; Refusal: invalid_idempotency_key
        (400), idempotency_key_reused, idempotency_key_in_use, idempotent_answer_not_kept (409),
        storage_unavailable (503).
        """
        key = key_of(header)
        wish = Wish(project_id, key, await fingerprint(target, body), request_id)
        claim = Claim(
            wish,
            await self._shelves.of(project_id, tenant),
            self._observer,
            bytes_max=self._keeping.answer_bytes_max,
            keep_ms=self._keeping.keep_ms,
            content_ms_max=content_ms_max,
        )
        answered = self._writer.ack()
        self._writer.put(self._lane, wish, answered)
        try:
            standing: Standing = await answered
        except asyncio.CancelledError:
            self.release(claim)  # it may be on disk, and nobody else knows of it
            raise
        if standing.request_id == request_id:
            self._observer.keyed("ran")
            return claim
        instead = objection(standing, wish) or await self._again(standing, wish, tenant)
        self._observer.keyed("replayed" if isinstance(instead, Replayed) else instead.code)
        raise instead

    def release(self, claim: Claim) -> None:
        """Free the key with the next commit, before any later `take`.  Where even that fails, the
        sweeper does it."""
        with suppress(errors.Refusal):
            self._writer.put(self._lane, claim.release())

    async def _again(
        self, standing: Standing, wish: Wish, tenant: str | None
    ) -> Replayed | errors.Refusal:
        stored = await self._readers.run(
            partial(store.stored, request_id=standing.request_id), tenant=tenant
        )
        if stored is None:  # forgotten in this very moment: the next try takes the key
            return in_use(wish)
        return not_kept(stored.request_id) if stored.body is None else Replayed(stored)


async def fingerprint(target: bytes, body: bytes) -> bytes:
    """SHA-256 of both; `target` has no line break."""
    digest = hashlib.sha256(target + b"\n")
    if len(body) > _HASHED_INLINE_BYTES_MAX:
        await asyncio.get_running_loop().run_in_executor(None, digest.update, body)
    else:
        digest.update(body)
    return digest.digest()
