"""One POST to a webhook, signed as Standard Webhooks says.

Its own few lines of HTTP, because of two promises that a client library does not make: it connects
to the address that was checked, and all of it together takes no longer than `timeout_s`.  Redirects
are not followed.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import httptools

from portico.billing.alerts.model import Delivery, Outcome
from portico.kit import egress
from portico.kit.clock import Clock
from portico.kit.dial import answered
from portico.webhooks.model import ENDPOINT, Destination
from portico.webhooks.rules import secret_of, signature

_TIMEOUT_S = 10.0
_READ_BYTES = 4_096
_ANSWER_BYTES_MAX = 65_536
_SHOWN_BYTES = 200
_GONE = 410
_RETRY_AFTER_DIGITS = 6
NO_SECRET = "alerts.webhook_secret is not set: nothing can be signed"
NO_ENDPOINT = "the endpoint is disabled or deleted"
Find = Callable[[Delivery], Awaitable[Destination | None]]
"""Where an endpoint is now, and what signs for it; None where nothing is sent to it."""


class Webhooks:
    """secret: None where none is set, and nothing is sent but to endpoints, which have their own.
    operator_url: what goes there is signed with the secret itself, whomever it is about.
    find: of endpoints.
    private_allowed: addresses that are not on the Internet may be reached, on any port and without
    TLS.
    """

    def __init__(
        self,
        secret: bytes | None,
        clock: Clock,
        *,
        operator_url: str = "",
        find: Find | None = None,
        private_allowed: bool = False,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = _TIMEOUT_S,
        resolve: egress.Resolve = egress.resolved,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._operator_url = operator_url
        self._find = find
        self._private_allowed = private_allowed
        self._tls = tls
        self._timeout_s = timeout_s
        self._resolve = resolve

    async def send(self, delivery: Delivery) -> Outcome:
        if delivery.target.startswith(f"{ENDPOINT}_"):
            found = None if self._find is None else await self._find(delivery)
            if found is None:
                return Outcome(False, NO_ENDPOINT, final=True)
        elif self._secret is None:
            return Outcome(False, NO_SECRET)
        else:
            whose = "" if delivery.target == self._operator_url else delivery.organisation_id
            found = Destination(delivery.target, (secret_of(self._secret, whose),))
        return await self._send(delivery, found)

    async def _send(self, delivery: Delivery, to: Destination) -> Outcome:
        try:
            place = egress.place_of(to.url)
        except egress.Refused as error:
            return Outcome(False, f"not sent: {error}", final=True)
        answer = _Answer()
        try:
            if not self._private_allowed:
                egress.check_way(place, http=False)
            async with asyncio.timeout(self._timeout_s):
                address = await egress.address_of(
                    place, private_allowed=self._private_allowed, resolve=self._resolve
                )
                request = self._request(place, delivery, to)
                await answered(place, address, request, answer.read, tls=self._tls)
        except egress.Refused as error:
            return Outcome(False, f"not sent: {error}")
        except TimeoutError:
            if not answer.status:
                return Outcome(False, f"no answer within {self._timeout_s:g} s")
        except (OSError, ValueError) as error:
            if not answer.status:
                return Outcome(False, f"not reached: {error}")
        # However it ended: by its status it has taken the event, or said that it has not.
        return answer.outcome()

    def _request(self, place: egress.Place, delivery: Delivery, to: Destination) -> bytes:
        body, at_s = delivery.body.encode(), self._clock.wall_ms() // 1000
        signed = signature(to.secrets, delivery.id, at_s, body)
        head = (
            f"POST {place.path} HTTP/1.1\r\nhost: {place.authority}\r\nuser-agent: portico\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"webhook-id: {delivery.id}\r\nwebhook-timestamp: {at_s}\r\n"
            f"webhook-signature: {signed}\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + body


class _Answer:
    """The status, and where it is no success when to come back, and the beginning of what is said."""

    def __init__(self) -> None:
        self.status = 0
        self._retry_after = b""
        self._body = bytearray()
        self._begun = False
        self._complete = False

    async def read(self, reader: asyncio.StreamReader) -> None:
        """As much as is of use.  Raises: ValueError: it is not HTTP; OSError."""
        parser = httptools.HttpResponseParser(self)
        unread = _ANSWER_BYTES_MAX
        while not self._complete and unread > 0:
            data = await reader.read(min(unread, _READ_BYTES))
            if not data:
                break
            unread -= len(data)
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise ValueError("the answer is not HTTP") from error
            self._look(parser)
        if not self.status:
            raise ValueError("the answer is not HTTP")

    def outcome(self) -> Outcome:
        gone = self.status == _GONE
        if 200 <= self.status < 300:
            return Outcome(True, f"answered {self.status}")
        text = "".join(
            character if character.isprintable() else " "
            for character in bytes(self._body).decode("utf-8", "replace")
        ).strip()
        says = f"answered {self.status}: {text}" if text else f"answered {self.status}"
        return Outcome(False, says, gone, gone, self._retry_after_ms())

    def on_status(self, reason: bytes) -> None:
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.strip()

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, body: bytes) -> None:
        self._body += body[: _SHOWN_BYTES - len(self._body)]

    def on_message_complete(self) -> None:
        self._complete = True

    def _look(self, parser: httptools.HttpResponseParser) -> None:
        """After each read."""
        status = parser.get_status_code() if self._begun else 0
        if 100 <= status < 200:  # there is more to come
            self._begun = self._complete = False
            return
        self.status = status
        if 200 <= status < 300 or len(self._body) >= _SHOWN_BYTES:
            self._complete = True

    def _retry_after_ms(self) -> int:
        """Of seconds; a date is not read, and the usual wait holds."""
        asked = self._retry_after
        if not asked.isdigit() or len(asked) > _RETRY_AFTER_DIGITS:
            return 0
        return int(asked) * 1000
