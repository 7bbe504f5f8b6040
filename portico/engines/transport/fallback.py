"""The same interface over aiohttp: for HTTP proxies and TLS our own client does not speak.

Costs several times the CPU of `native` per request (docs/design/0003).  Nothing else imports this
file, so a normal start does not carry aiohttp.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import aiohttp
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict
from yarl import URL

from portico.engines.transport.base import (
    Call,
    Deadlines,
    Headers,
    Limits,
    Origin,
    Stage,
    TransportFailed,
)
from portico.engines.transport.head import METHODS_WITH_BODY, host_field, request_head
from portico.engines.transport.tls import trusting

# Above this a body is sent in pieces, so that each piece taken is seen as progress.
PIECE_BYTES = 65_536


class FallbackTransport:
    """See `base.Transport`.  Belongs to the loop that first sends on it.

    `proxy` is the URL of an HTTP proxy, credentials included, for every call; None: direct.
    What differs from `native`: `Limits.connecting` is not observed, bytes that arrived just before
    a failure may be lost with it, and a large body counts as arrived in aiohttp's own steps.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._tls = tls
        self._proxy = proxy
        self._kept: aiohttp.ClientSession | None = None  # keep-alive
        self._fresh: aiohttp.ClientSession | None = None  # one connection per call
        self._calls: Counter[Origin] = Counter()
        self._answers: set[FallbackAnswer] = set()
        self._closed = False

    async def send(self, call: Call) -> "FallbackAnswer":
        request_head(call, host_field(call.origin))  # for its refusals; aiohttp writes its own
        if self._closed:
            raise TransportFailed("connect", "the transport is closed")
        if self._calls[call.origin] >= self._limits.connections + self._limits.waiting:
            raise TransportFailed("connect", f"{self._calls[call.origin]} calls are open already")
        if self._kept is None or self._fresh is None:
            self._kept, self._fresh = self._session(keep=True), self._session(keep=False)
        whole_until = asyncio.get_running_loop().time() + call.deadlines.total_s
        attempt = Attempt(call.deadlines, whole_until)
        self._calls[call.origin] += 1
        try:
            try:
                session = self._kept if call.reuse else self._fresh
                return await self._exchange(session, call, attempt)
            except TransportFailed as failed:
                if failed.stage != "lost" or failed.answered or not attempt.reused:
                    raise
            return await self._exchange(self._fresh, call, Attempt(call.deadlines, whole_until))
        except BaseException:
            self._calls[call.origin] -= 1
            raise

    async def close(self) -> None:
        self._closed = True
        for answer in list(self._answers):
            answer.close()
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def _exchange(
        self, session: aiohttp.ClientSession, call: Call, attempt: "Attempt"
    ) -> "FallbackAnswer":
        try:
            async with attempt.timeout:
                attempt.enter("connect")
                response = await session.request(
                    call.method,
                    _url(call),
                    headers=_headers(call),
                    data=_body(call, attempt),
                    proxy=self._proxy,
                    ssl=self._trust(call.origin),
                    allow_redirects=False,
                    trace_request_ctx=attempt,
                )
        except TimeoutError:
            raise attempt.expired(answered=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _translate(error, attempt.stage, answered=False) from error
        if response.status < 200:
            response.close()
            raise TransportFailed("protocol", "switched protocols unasked", answered=True)
        answer = FallbackAnswer(response, attempt, lambda: self._gone(call.origin, answer))
        self._answers.add(answer)
        return answer

    def _trust(self, origin: Origin) -> ssl.SSLContext | bool:
        if origin.scheme != "https":
            return True
        self._tls = self._tls or trusting()
        return self._tls

    def _gone(self, origin: Origin, answer: "FallbackAnswer") -> None:
        self._calls[origin] -= 1
        self._answers.discard(answer)

    def _session(self, *, keep: bool) -> aiohttp.ClientSession:
        limits = self._limits
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=limits.connections,
            force_close=not keep,
            keepalive_timeout=limits.idle_age_s if keep else None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            read_bufsize=limits.buffer_bytes,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            max_headers=limits.head_fields,
            trace_configs=[_trace()],
        )


class Attempt:
    """One try at an exchange: which part it is in and when that part is late."""

    def __init__(self, deadlines: Deadlines, whole_until: float) -> None:
        self.stage: Stage = "connect"
        self._late: Stage = "total"
        self.reused = False
        self.timeout = asyncio.timeout_at(whole_until)
        self._connections = 0
        self._deadlines = deadlines
        self._whole_until = whole_until

    def enter(self, stage: Stage) -> None:
        self.stage = stage
        self.timeout.reschedule(self.due())

    def connected(self, *, reused: bool) -> None:
        """aiohttp repeats a GET on any lost connection; our law knows one repeat, decided here."""
        self._connections += 1
        if self._connections > 1:
            raise TransportFailed("lost", "the upstream closed the connection")
        self.reused = reused
        self.enter("first_byte")

    def due(self) -> float:
        """The end of the present stage, or of the whole exchange if that comes first."""
        allowed_s: float = getattr(self._deadlines, f"{self.stage}_s")
        stage_until = asyncio.get_running_loop().time() + allowed_s
        # Decided now: a timer may fire a moment early, and a clock read then would say otherwise.
        self._late = "total" if self._whole_until <= stage_until else self.stage
        return min(stage_until, self._whole_until)

    def expired(self, *, answered: bool) -> TransportFailed:
        return TransportFailed(self._late, "nothing happened in time", answered=answered)


class FallbackAnswer:
    """See `base.Answer`."""

    def __init__(
        self, response: aiohttp.ClientResponse, attempt: Attempt, gone: Callable[[], None]
    ) -> None:
        self.status = response.status
        self.headers: Headers = [(name.lower(), value) for name, value in response.raw_headers]
        self._response = response
        self._attempt = attempt
        self._attempt.stage = "idle"
        self._gone: Callable[[], None] | None = gone
        self._failure: TransportFailed | None = None

    async def next(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            async with asyncio.timeout_at(self._attempt.due()):
                data = await self._response.content.readany()
        except TimeoutError:
            raise self._fail(self._attempt.expired(answered=True)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._fail(_translate(error, "idle", answered=True)) from None
        if not data:
            self._leave()
        return data

    async def read(self, limit_bytes: int) -> bytes:
        body = bytearray()
        while data := await self.next():
            body += data
            if len(body) > limit_bytes:
                detail = f"the body is larger than {limit_bytes} bytes"
                raise self._fail(TransportFailed("too_large", detail, answered=True))
        return bytes(body)

    def close(self) -> None:
        if self._failure is None and not self._response.content.is_eof():
            self._fail(TransportFailed("closed", "closed on our side", answered=True))
        self._leave()

    def _fail(self, failure: TransportFailed) -> TransportFailed:
        """The first failure is the one everybody hears of."""
        if self._failure is None:
            self._failure = failure
            self._response.content.set_exception(failure)  # wakes a `next` that waits elsewhere
            self._response.close()
            self._leave()
        return self._failure

    def _leave(self) -> None:
        if self._gone is not None:
            self._gone()
            self._gone = None


def _url(call: Call) -> URL:
    origin = call.origin
    host = host_field(origin).decode("ascii")
    return URL(f"{origin.scheme}://{host}{call.target}", encoded=True)


def _headers(call: Call) -> CIMultiDict[str]:
    headers = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in call.headers
    )
    if call.body or call.method in METHODS_WITH_BODY:
        headers["Content-Length"] = str(len(call.body))
    return headers


def _body(call: Call, attempt: Attempt) -> bytes | AsyncIterator[bytes] | None:
    if len(call.body) <= PIECE_BYTES:
        return call.body or None
    return _in_pieces(call.body, attempt)


async def _in_pieces(body: bytes, attempt: Attempt) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        if attempt.stage in ("write", "first_byte"):
            attempt.enter("write")
        yield body[start : start + PIECE_BYTES]
    if attempt.stage == "write":
        attempt.enter("first_byte")


def _trace() -> aiohttp.TraceConfig:
    async def created(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connected(reused=False)

    async def reused(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connected(reused=True)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(created)
    trace.on_connection_reuseconn.append(reused)
    return trace


def _translate(error: Exception, stage: Stage, *, answered: bool) -> TransportFailed:
    """aiohttp's many errors in our few words."""
    detail = str(error) or type(error).__name__
    if stage == "connect":
        return TransportFailed("connect", detail)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        begun = isinstance(error.message, RawResponseMessage)
        return TransportFailed("lost", detail, answered=answered or begun)
    if isinstance(error, aiohttp.ClientPayloadError):
        lost = "Not enough data" in detail or "not completed" in detail
        return TransportFailed("lost" if lost else "protocol", detail, answered=True)
    if isinstance(error, aiohttp.ClientResponseError):
        long = "Got more than" in detail or "Too many" in detail
        return TransportFailed("too_large" if long else "protocol", detail, answered=True)
    return TransportFailed("lost", detail, answered=answered)
