"""POST /security/leaked-keys and GET /security/key-pattern: for whoever finds keys in public.

Whoever holds a key may end it; no more is needed to report one than the key itself.  So the route is
open, takes GitHub's secret scanning shape, and tells nobody which keys exist.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.model import Errand, Rights
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.accounts.admin_keys import service as admin_keys
from portico.accounts.keys import service as keys
from portico.admin.throttle import Throttle
from portico.audit.model import Actor
from portico.callers.pepper import Pepper
from portico.callers.rules import KEY_PATTERN, digest, kind_of
from portico.db.writer import Writer
from portico.door.endpoints.answering import answer_json
from portico.door.exchange import Exchange
from portico.door.framing.forwarded import counted_as
from portico.door.intake.decoding import body_of
from portico.door.routes import Route
from portico.kit.clock import Clock

REPORTS_MAX = 100
_BODY_BYTES_MAX = 262_144
_PLACE_MAX = 300
_PER_MINUTE = 30
_CHECKSUM = (
    "The last 6 characters are the CRC32 of all before them, in base62 (0-9, A-Z, a-z), the most "
    "significant first."
)


class Report(Struct):
    """token: what was found.  url: where."""

    token: str
    type: str = ""
    url: str | None = None
    source: str | None = None


_reports = msgspec.json.Decoder(list[Report])


class Leaks:
    """One event loop owns this object."""

    def __init__(self, writer: Writer, peppers: tuple[Pepper, ...], clock: Clock) -> None:
        self._writer = writer
        self._peppers = peppers
        self._clock = clock
        self._throttle = Throttle(clock, _PER_MINUTE)

    def routes(self) -> list[Route]:
        report = "Report keys found in public: they are revoked."
        pattern = "What a key looks like, for secret scanners."
        return [
            Route("POST", "/security/leaked-keys", self.receive, report, list[Report], open=True),
            Route("GET", "/security/key-pattern", self.show, pattern, open=True),
        ]

    async def show(self, exchange: Exchange, _: str) -> None:
        told = {"object": "key_pattern", "pattern": KEY_PATTERN, "checksum": _CHECKSUM}
        answer_json(exchange, 200, told)

    async def receive(self, exchange: Exchange, _: str) -> None:
        """Answers the same for keys that exist and for those that do not, once what exists is
        revoked.  Raises: Refusal."""
        more = f"Wait for `Retry-After`, and send more keys in each report, up to {REPORTS_MAX}."
        self._throttle.admit(counted_as(exchange.peer), more)
        reports = _read(await body_of(exchange, _BODY_BYTES_MAX, compression=False))
        found = [each for each in reports if kind_of(each.token) is not None]
        if found:
            await self._writer.run(lambda c: self._revoke(c, found, exchange.peer))
        answer_json(exchange, 200, {"object": "leak_report", "received": len(reports)})

    def _revoke(self, connection: Connection, found: Sequence[Report], address: str) -> None:
        actor = Actor("system", "leak report", "", address)
        errand = Errand(
            connection, Rights(actor, None, frozenset(INSTALLATION_SCOPES)), self._clock
        )
        for each in found:
            digests = tuple(digest(pepper.secret, each.token) for pepper in self._peppers)
            place = "".join(c for c in each.url or "" if c.isprintable())[:_PLACE_MAX]
            reason = f"leaked; found at {place}" if place else "leaked"
            if keys.revoke_leaked(errand, digests, reason) is None:
                admin_keys.revoke_leaked(errand, digests, reason)


def _read(body: bytes) -> list[Report]:
    """Raises: Refusal: invalid_json, out_of_range."""
    try:
        reports = _reports.decode(body)
    except (ValueError, RecursionError) as error:
        raise errors.INVALID_JSON(
            'The body must be a JSON array of objects such as {"token": "pk_live_..."}; '
            f"{str(error)[:200]}."
        ) from None
    if len(reports) > REPORTS_MAX:
        raise errors.OUT_OF_RANGE(
            f"The report has {len(reports)} keys; it may have {REPORTS_MAX}.",
            value=len(reports),
            limit=REPORTS_MAX,
        )
    return reports
