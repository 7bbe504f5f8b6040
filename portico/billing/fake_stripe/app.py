"""The ASGI app: Stripe's paths under /v1, switches under /_fake."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from portico.billing.fake_stripe import going_back, paying
from portico.billing.fake_stripe.courier import Courier, Switches
from portico.billing.fake_stripe.forms import expanded, read
from portico.billing.fake_stripe.keys import Keys, Result
from portico.billing.fake_stripe.world import Failed, Json, World, wrong
from portico.kit.clock import Clock

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Handler = Callable[[World, Json, str], Json]

_POSTS: dict[str, Handler] = {
    "/v1/customers": paying.make_customer,
    "/v1/payment_methods": paying.make_method,
    "/v1/payment_methods/{id}/attach": paying.attach_method,
    "/v1/setup_intents": paying.make_setup,
    "/v1/setup_intents/{id}/confirm": paying.confirm_setup,
    "/v1/payment_intents": paying.make_payment,
    "/v1/payment_intents/{id}/confirm": paying.confirm_payment,
    "/v1/payment_intents/{id}/cancel": paying.cancel_payment,
    "/v1/refunds": going_back.make_refund,
    "/v1/disputes/{id}": going_back.answer_dispute,
    "/v1/disputes/{id}/close": going_back.close_dispute,
    "/_fake/payment_intents/{id}/authenticate": paying.authenticate,
    "/_fake/charges/{id}/dispute": going_back.dispute_charge,
    "/_fake/refunds/{id}/fail": going_back.fail_refund,
}
_READ = {
    # path: (kind, what lists are filtered by)
    "/v1/customers": ("customer", ()),
    "/v1/payment_methods": ("payment_method", ("customer",)),
    "/v1/setup_intents": ("setup_intent", ("customer",)),
    "/v1/payment_intents": ("payment_intent", ("customer",)),
    "/v1/charges": ("charge", ("customer", "payment_intent")),
    "/v1/refunds": ("refund", ("charge", "payment_intent")),
    "/v1/disputes": ("dispute", ("charge", "payment_intent")),
    "/v1/balance_transactions": ("balance_transaction", ("source", "type")),
    "/v1/events": ("event", ("type",)),
    "/v1/webhook_endpoints": ("webhook_endpoint", ()),
}
_TEST_KEY = re.compile(r"[sr]k_test_\w*")


class FakeStripe:
    """endpoints: where events are sent, see `server`.  faults: `METHOD path` of requests that are
    done and answered with an error once, and how: `stored`, a 500 that is kept as the result of
    its key; `lost`, a 502 on the way back, so that asking again gives the result."""

    def __init__(self, clock: Clock, courier: Courier) -> None:
        self.courier = courier
        self.world = World(clock, courier.put)
        self.keys = Keys()
        self.endpoints: list[str] = []
        self.faults: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        result = self.answer(
            scope["method"], scope["path"], scope["query_string"].decode(), body.decode(), headers
        )
        lines = [(b"content-type", b"application/json"), (b"request-id", b"req_fake")]
        lines += [(b"idempotent-replayed", b"true")] if result.replayed else []
        start = {"type": "http.response.start", "status": result.status, "headers": lines}
        await send(start)
        await send({"type": "http.response.body", "body": msgspec.json.encode(result.body)})

    def answer(
        self, method: str, path: str, query: str, body: str, headers: Mapping[bytes, str]
    ) -> Result:
        """Raises nothing: errors are answers, too."""
        try:
            if path.startswith("/_fake/"):
                return self._switched(path, read(body))
            _check_key(headers.get(b"authorization", ""))
            if method == "GET":
                return self._found(path, read(query))
            key = headers.get(b"idempotency-key", "")
            return self._done(path, body, key)
        except Failed as failed:
            return Result(failed.status, failed.body)

    def _done(self, path: str, body: str, key: str) -> Result:
        fault = self.faults.pop(f"POST {path}", "")

        def work() -> Result:
            result = Result(200, self._post(path, read(body)))
            return result if fault != "stored" else _out_of_order(500)

        result = self.keys.once(key, (path, body), work)
        return result if fault != "lost" else _out_of_order(502)

    def _post(self, path: str, asked: Json) -> Json:
        if path == "/v1/webhook_endpoints":
            return self._endpoint(asked)
        pattern, id = _pattern(path)
        handler = _POSTS.get(pattern)
        if handler is None:
            raise _unknown("POST", path)
        answer = handler(self.world, asked, id)
        return expanded(answer, asked.get("expand", []), self.world.objects.get)

    def _found(self, path: str, asked: Json) -> Result:
        if path in _READ:
            kind, filters = _READ[path]
            answer = self.world.listed(kind, asked, *filters)
        else:
            folder, _, id = path.rpartition("/")
            if folder not in _READ:
                raise _unknown("GET", path)
            answer = self.world.get(id, _READ[folder][0])
        return Result(200, expanded(answer, asked.get("expand", []), self.world.objects.get))

    def _endpoint(self, asked: Json) -> Json:
        url = asked.get("url", "")
        if not url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
            raise wrong("Events of this Stripe stay on this machine.", param="url")
        self.endpoints.append(url)
        events = asked.get("enabled_events", ["*"])
        return self.world.make(
            "we",
            "webhook_endpoint",
            url=url,
            enabled_events=events,
            status="enabled",
            secret=self.courier.secret,
        )

    def _switched(self, path: str, asked: Json) -> Result:
        pattern, id = _pattern(path)
        if pattern in _POSTS:
            return Result(200, _POSTS[pattern](self.world, asked, id))
        if path == "/_fake/switches":
            shares = {name: float(value) for name, value in asked.items()}
            self.courier.switches = msgspec.convert(shares, Switches)
        elif path == "/_fake/faults":
            self.faults[f"POST {asked['path']}"] = asked["how"]
        elif path == "/_fake/keys/forget":
            self.keys.forget()
        elif pattern == "/_fake/events/{id}/replay":
            self.courier.put(self.world.get(id, "event"))
        else:
            raise _unknown("POST", path)
        return Result(200, {"done": True})


def _pattern(path: str) -> tuple[str, str]:
    """`/v1/refunds/re_1/fail` as (`/v1/refunds/{id}/fail`, `re_1`); the third part is the id."""
    parts = path.split("/")
    if len(parts) < 4 or path in _POSTS:
        return path, ""
    return "/".join((*parts[:3], "{id}", *parts[4:])), parts[3]


def _check_key(authorization: str) -> None:
    """Raises: Failed."""
    scheme, _, value = authorization.partition(" ")
    if scheme == "Basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    if not _TEST_KEY.fullmatch(value):
        says = "Invalid API Key provided: this Stripe is not real, send sk_test_ and anything."
        raise Failed(401, "invalid_request_error", says)


def _out_of_order(status: int) -> Result:
    body = {"error": {"type": "api_error", "message": "An unknown error occurred."}}
    return Result(status, body)


def _unknown(method: str, path: str) -> Failed:
    says = f"Unrecognized request URL ({method}: {path})."
    return Failed(404, "invalid_request_error", says)
