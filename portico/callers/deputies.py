"""Callers who are not there: what they left to be done is done with what they may do now."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from portico import errors
from portico.callers import store
from portico.callers.model import Caller, KnownKey
from portico.callers.rules import check
from portico.callers.service import judge
from portico.db.readers import Readers
from portico.kit.clock import Clock

_VALID_S = 2.5
_REMEMBERED_MAX = 1_000
_ASKED_AT_ONCE = 500


class Deputies:
    """In the place of `Callers`, for requests that carry the id of a key where others carry the
    key.  One event loop owns this object."""

    def __init__(self, readers: Readers, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self._known: dict[str, tuple[KnownKey | None, float]] = {}

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        """credential: the id of a key; or, where that was an ephemeral one, of it, a slash, and of
        the key it was made with.  What was left by a key that has expired since is done all the same,
        and it comes from nowhere; for one that has been forgotten since, the other key answers.

        Raises: Refusal: invalid_api_key, api_key_revoked (401); permission_denied,
        organization_suspended, project_archived (403); storage_unavailable (503).
        """
        known = await self._look_up(credential)
        caller = judge(known)
        if scope not in caller.scopes:
            check(replace(caller, networks=()), scope, address)
        return caller

    def forget(self, ids: Collection[str]) -> None:
        """These keys have ended: ask again, whatever was remembered."""
        for credential in [each for each in self._known if not set(ids).isdisjoint(_ids(each))]:
            del self._known[credential]

    async def revoked(self, ids: Collection[str]) -> set[str]:
        """Which of these keys are."""
        found, all_ids = set[str](), sorted(ids)
        for first in range(0, len(all_ids), _ASKED_AT_ONCE):
            some = all_ids[first : first + _ASKED_AT_ONCE]
            found |= await self._readers.run(partial(store.revoked, ids=some))
        return found

    async def _look_up(self, credential: str) -> KnownKey | None:
        known, until_s = self._known.get(credential, (None, 0.0))
        now_s = self._clock.monotonic_s()
        if now_s < until_s:
            return known
        try:
            known = await self._readers.run(partial(_first, ids=_ids(credential)))
        except SQLAlchemyError as error:
            raise errors.STORAGE_UNAVAILABLE(
                "API keys cannot be looked up now.", retry_after_ms=2_000
            ) from error
        self._known.pop(credential, None)
        if len(self._known) >= _REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known[credential] = (known, now_s + _VALID_S)
        return known


def _ids(credential: str) -> list[str]:
    return credential.split("/")


def _first(connection: Connection, ids: Iterable[str]) -> KnownKey | None:
    """That there is."""
    found = (store.one(connection, each) for each in ids)
    return next((known for known in found if known is not None), None)


class Patient:
    """The same, where nobody waits for what they do."""

    def __init__(self, deputies: Deputies) -> None:
        self._deputies = deputies

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        """Raises: as `Deputies`."""
        return replace(await self._deputies.verify(credential, scope, address), patient=True)
