"""One POST to a webhook, signed as Standard Webhooks says.

Its own few lines of HTTP, because of two promises that a client library does not make: it connects
to the address that was checked, and all of it together takes no longer than `timeout_s`.  Redirects
are not followed.
"""

import asyncio
import re
import ssl
from contextlib import suppress

from portico.billing.alerts.model import Delivery, Outcome
from portico.billing.alerts.rules import secret_of, signature
from portico.kit import egress
from portico.kit.clock import Clock

_TIMEOUT_S = 10.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_GONE = 410
NO_SECRET = "alerts.webhook_secret is not set: nothing can be signed"


class Webhooks:
    """secret: None where none is set, and nothing is sent.
    private_allowed: addresses that are not on the Internet may be reached, on any port and without
    TLS.
    """

    def __init__(
        self,
        secret: bytes | None,
        clock: Clock,
        *,
        private_allowed: bool = False,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = _TIMEOUT_S,
        resolve: egress.Resolve = egress.resolved,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._private_allowed = private_allowed
        self._tls = tls
        self._timeout_s = timeout_s
        self._resolve = resolve

    async def send(self, delivery: Delivery) -> Outcome:
        if self._secret is None:
            return Outcome(False, NO_SECRET)
        try:
            place = egress.place_of(delivery.target)
        except egress.Refused as error:
            return Outcome(False, f"not sent: {error}", final=True)
        try:
            if not self._private_allowed:
                egress.check_way(place, http=False)
            async with asyncio.timeout(self._timeout_s):
                address = await egress.address_of(
                    place, private_allowed=self._private_allowed, resolve=self._resolve
                )
                status = await self._post(place, address, self._request(place, delivery))
        except egress.Refused as error:
            return Outcome(False, f"not sent: {error}")
        except TimeoutError:
            return Outcome(False, f"no answer within {self._timeout_s:g} s")
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            return Outcome(False, f"not reached: {error}")
        return Outcome(200 <= status < 300, f"answered {status}", final=status == _GONE)

    def _request(self, place: egress.Place, delivery: Delivery) -> bytes:
        assert self._secret is not None
        body, at_s = delivery.body.encode(), self._clock.wall_ms() // 1000
        signed = signature(
            secret_of(self._secret, delivery.organisation_id), delivery.id, at_s, body
        )
        head = (
            f"POST {place.path} HTTP/1.1\r\nhost: {place.authority}\r\nuser-agent: portico\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"webhook-id: {delivery.id}\r\nwebhook-timestamp: {at_s}\r\n"
            f"webhook-signature: {signed}\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + body

    async def _post(self, place: egress.Place, address: str, request: bytes) -> int:
        """The answer's status.  Raises: OSError; ValueError, for an answer that is not HTTP."""
        tls = (self._tls or ssl.create_default_context()) if place.tls else None
        name = place.host if place.tls else None
        reader, writer = await asyncio.open_connection(
            address, place.port, ssl=tls, server_hostname=name
        )
        try:
            writer.write(request)
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        found = _STATUS.match(line)
        if found is None:
            raise ValueError("the answer is not HTTP")
        return int(found[1])
