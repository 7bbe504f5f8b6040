"""Moderations that are lines of a batch."""

from portico import journey
from portico.door.credentials import credential_of
from portico.door.lines import JSON
from portico.door.visits.carrier import Unattended
from portico.kit.leaving import Left
from portico.resources.batches.rules import check_kept
from portico.safety.service import Moderation


class Judged:
    """callers: those who are not there."""

    def __init__(self, callers: journey.Verifier, moderation: Moderation) -> None:
        self._callers = callers
        self._moderation = moderation

    async def handle(self, carrier: Unattended, _: str) -> None:
        """Raises: Refusal; Left."""
        credential = credential_of(carrier.headers, carrier.query)
        caller = await self._callers.verify(credential, carrier.scope, carrier.peer)
        check_kept(caller)
        body = await carrier.body(0)
        with carrier.leaving:
            answered = await self._moderation.judge(body, caller)
            carrier.reply(200, JSON, answered.body)
            return
        raise Left(carrier.leaving.reason)
