"""Who is calling.

A key that was checked within the last 5 s is answered from memory without a wait, so a revoked
key is refused after 5 s at most.  Keys in steady use are checked again in the background before
that, and never wait.  The cache is keyed by the credential itself, which is in memory with every
request anyway, and saves an HMAC per request (0.3 us instead of 4); it is bounded, and kept for
seconds.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from portico import errors
from portico.callers import store
from portico.callers.model import Caller, KnownKey
from portico.callers.pepper import Pepper
from portico.callers.rules import check, digest, kind_of
from portico.db.readers import Readers
from portico.kit.clock import Clock

_FRESH_S = 2.5
"""After this a key that is used is checked again in the background."""
_VALID_S = 5.0
_UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the database said.  Exactly one of `caller` and `refused` is set.

    refused: the catalogue entry and the words; the exception is made afresh for each caller.
    """

    caller: Caller | None
    refused: tuple[errors.Entry, str] | None
    fresh_until_s: float
    valid_until_s: float


class Callers:
    """One event loop owns this object."""

    def __init__(
        self,
        readers: Readers,
        peppers: tuple[Pepper, ...],
        clock: Clock,
        noted: Callable[[str], None] = lambda _: None,
        *,
        keys_max: int = 50_000,
        refused_max: int = 10_000,
    ) -> None:
        """noted: told the id of a key that is in use, every few seconds.
        keys_max, refused_max: answers remembered; apart, so that made-up keys cannot push out
        real ones."""
        self._noted = noted
        self._readers = readers
        self._peppers = peppers
        self._clock = clock
        self._known: dict[str, _Answer] = {}
        self._refused: dict[str, _Answer] = {}
        self._keys_max = keys_max
        self._refused_max = refused_max
        self._looking: dict[str, asyncio.Future[KnownKey | None]] = {}

    @property
    def remembered(self) -> int:
        """Answers held in memory, refusals included."""
        return len(self._known) + len(self._refused)

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        """The caller behind `credential`, who wants what `scope` stands for.

        address: where it comes from.

        Raises: Refusal: missing_api_key, invalid_api_key, api_key_revoked, api_key_expired (401);
        permission_denied, address_not_allowed, organization_suspended, project_archived (403);
        storage_unavailable (503), when the key cannot be looked up.
        """
        answer = self._known.get(credential)
        now_s = self._clock.monotonic_s()
        if answer is None or now_s >= answer.valid_until_s:
            answer = self._refused.get(credential)
            if answer is None or now_s >= answer.valid_until_s:
                answer = await self._ask(credential)
        elif now_s >= answer.fresh_until_s and credential not in self._looking:
            self._look_up(credential)
        caller = answer.caller
        if caller is None:
            raise _refusal(answer)
        if scope not in caller.scopes or caller.networks:
            check(caller, scope, address)
        return caller

    def forget(self, credential_ids: Collection[str]) -> None:
        """These have ended: ask again, whatever was remembered."""
        gone = [
            credential
            for credential, answer in self._known.items()
            if answer.caller is not None and answer.caller.credential_id in credential_ids
        ]
        for credential in gone:
            del self._known[credential]

    async def _ask(self, credential: str) -> _Answer:
        if not credential:
            raise errors.MISSING_KEY("The request has no API key.")
        kind = kind_of(credential)
        if kind is None:
            raise errors.INVALID_KEY("This is not a Portico API key.")
        if kind == "admin":  # not here: it is told from one that is unknown by nothing
            raise errors.INVALID_KEY("This API key does not exist.")
        if credential not in self._looking:
            self._look_up(credential)
        asked_s = self._clock.monotonic_s()
        try:
            known = await asyncio.shield(self._looking[credential])
        except SQLAlchemyError as error:
            raise errors.STORAGE_UNAVAILABLE(
                "API keys cannot be looked up now.", retry_after_ms=2_000
            ) from error
        return self._judge(known, asked_s)

    def _look_up(self, credential: str) -> None:
        """Ask the database, once however many wait, and remember what it says."""
        digests = tuple(digest(pepper.secret, credential) for pepper in self._peppers)
        looking = self._readers.submit(lambda connection: store.find(connection, digests))
        self._looking[credential] = looking
        looking.add_done_callback(partial(self._remember, credential, self._clock.monotonic_s()))

    def _remember(
        self, credential: str, asked_s: float, looking: "asyncio.Future[KnownKey | None]"
    ) -> None:
        del self._looking[credential]
        if looking.cancelled() or looking.exception() is not None:
            return
        answer = self._judge(looking.result(), asked_s)
        self._known.pop(credential, None)
        if answer.caller is not None:
            self._noted(answer.caller.credential_id)
            _keep(self._known, credential, answer, self._keys_max)
        else:
            _keep(self._refused, credential, answer, self._refused_max)

    def _judge(self, known: KnownKey | None, asked_s: float) -> _Answer:
        """Good for a while from `asked_s` on: the row may have changed since then."""
        objection = _objection(known)
        if objection is not None:
            return _no(*objection, asked_s)
        assert known is not None
        valid_s = _VALID_S
        if known.expires_at_ms is not None:
            left_s = (known.expires_at_ms - self._clock.wall_ms()) / 1000
            if left_s <= 0:
                return _no(errors.KEY_EXPIRED, "This API key has expired.", asked_s)
            valid_s = min(valid_s, left_s)
        return _Answer(known.caller, None, asked_s + _FRESH_S, asked_s + valid_s)


def judge(known: KnownKey | None) -> Caller:
    """Whatever its time.  Raises: Refusal."""
    objection = _objection(known)
    if objection is not None:
        entry, words = objection
        raise entry(words)
    assert known is not None
    return known.caller


def _objection(known: KnownKey | None) -> tuple[errors.Entry, str] | None:
    if known is None:
        return errors.INVALID_KEY, "This API key does not exist."
    if known.revoked_at_ms is not None:
        return errors.KEY_REVOKED, "This API key was revoked."
    if known.archived:
        return errors.PROJECT_ARCHIVED, "The project of this key is archived."
    if known.suspended is not None:
        why = f": {known.suspended}" if known.suspended else ""
        return errors.ORGANISATION_SUSPENDED, f"The organisation of this key is suspended{why}."
    return None


def _no(entry: errors.Entry, words: str, asked_s: float) -> _Answer:
    return _Answer(None, (entry, words), asked_s + _UNKNOWN_S, asked_s + _UNKNOWN_S)


def _refusal(answer: _Answer) -> errors.Refusal:
    assert answer.refused is not None
    entry, words = answer.refused
    return entry(words)


def _keep(answers: dict[str, _Answer], credential: str, answer: _Answer, kept_max: int) -> None:
    answers.pop(credential, None)
    if len(answers) >= kept_max:
        del answers[next(iter(answers))]  # the one asked about longest ago
    answers[credential] = answer
