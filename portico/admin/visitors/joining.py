"""POST /invitations/accept: for whoever was invited, and is nobody here before.

The token is the right, so the route is open.  What it is told when that is no good is the same for a
token that was used, that is somebody else's, and that never was.
"""

from msgspec import Struct

from portico.accounts.people.invitations import accept_invitation, guest
from portico.admin.tenants.keys import SECRET
from portico.admin.tenants.people import MEMBER, member
from portico.admin.throttle import Throttle
from portico.callers.pepper import Pepper
from portico.db.writer import Writer
from portico.dialects.body import checked, json_object, without_bom
from portico.door.endpoints.answering import answer_json
from portico.door.exchange import Exchange
from portico.door.framing.forwarded import counted_as
from portico.door.intake.decoding import body_of
from portico.door.routes import Route
from portico.errors import Refusal
from portico.kit.clock import Clock

_BODY_BYTES_MAX = 16_384
_PER_MINUTE = 30


class Acceptance(Struct):
    """email: the address that was invited.  name: of somebody who is not known here yet."""

    token: str
    email: str
    name: str = ""


class Joining:
    """One event loop owns this object."""

    def __init__(self, writer: Writer, peppers: tuple[Pepper, ...], clock: Clock) -> None:
        self._writer = writer
        self._peppers = peppers
        self._clock = clock
        self._throttle = Throttle(clock, _PER_MINUTE)

    def route(self) -> Route:
        says = "Accept an invitation: become a member."
        return Route(
            *("POST", "/invitations/accept", self.accept, says, Acceptance),
            open=True,
            answer=MEMBER.with_secret(SECRET),
        )

    async def accept(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal."""
        self._throttle.admit(counted_as(exchange.peer))
        raw = await body_of(exchange, _BODY_BYTES_MAX, compression=False)
        wish = checked(json_object(without_bom(raw)), Acceptance)
        found = await self._writer.run(
            lambda connection: accept_invitation(
                guest(connection, self._clock, exchange.peer),
                self._peppers,
                wish.token,
                wish.email,
                wish.name,
            )
        )
        if isinstance(found, Refusal):
            raise found
        answer_json(exchange, 200, {**member(found.member), SECRET: found.issued.secret})
