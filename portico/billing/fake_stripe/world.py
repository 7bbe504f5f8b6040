"""Everything this Stripe knows: objects as JSON, newest last, and the events about them."""

import copy
from collections.abc import Callable
from typing import Any

from portico.kit.clock import Clock
from portico.kit.ids import new_id

Json = dict[str, Any]
_PAGE = 10
_PAGE_MAX = 100


class Failed(Exception):
    """An answer in Stripe's shape of an error.

    executed: the request got as far as doing something, so that its result is kept under its
    idempotency key; what fails a check before that is not.
    """

    def __init__(
        self, status: int, kind: str, says: str, *, executed: bool = False, **more: Any
    ) -> None:
        super().__init__(says)
        self.status = status
        self.executed = executed
        self.body = {"error": {"type": kind, "message": says, **more}}


def wrong(says: str, **more: Any) -> Failed:
    return Failed(400, "invalid_request_error", says, **more)


class World:
    """on_event: told of every event, once; must not wait."""

    def __init__(self, clock: Clock, on_event: Callable[[Json], None]) -> None:
        self._clock = clock
        self._on_event = on_event
        self.objects: dict[str, Json] = {}
        self.behaviours: dict[str, str] = {}
        """What a payment method does, by its id."""

    def now_s(self) -> int:
        return self._clock.wall_ms() // 1000

    def make(self, prefix: str, kind: str, **fields: Any) -> Json:
        made = {
            "id": new_id(prefix),
            "object": kind,
            "created": self.now_s(),
            "livemode": False,
            **fields,
        }
        self.objects[made["id"]] = made
        return made

    def get(self, id: str, kind: str) -> Json:
        """Raises: Failed."""
        found = self.objects.get(id)
        if found is None or found["object"] != kind:
            raise Failed(
                404, "invalid_request_error", f"No such {kind}: '{id}'", code="resource_missing"
            )
        return found

    def tell(self, kind: str, about: Json) -> None:
        """An event, with the object as it is at this moment."""
        event = self.make(
            "evt",
            "event",
            type=kind,
            api_version="2026-10-28.endive",
            pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
            data={"object": copy.deepcopy(about)},
        )
        self._on_event(event)

    def listed(self, kind: str, asked: Json, *filters: str) -> Json:
        """A page of all objects of a kind, newest first, as `asked` for."""
        found = [each for each in reversed(self.objects.values()) if each["object"] == kind]
        for name in filters:
            if name in asked:
                found = [each for each in found if each.get(name) == asked[name]]
        since = asked.get("created", {})
        if "gte" in since:
            found = [each for each in found if each["created"] >= int(since["gte"])]
        if "starting_after" in asked:
            ids = [each["id"] for each in found]
            found = found[ids.index(self.get(asked["starting_after"], kind)["id"]) + 1 :]
        limit = min(_PAGE_MAX, max(1, int(asked.get("limit", _PAGE))))
        return {
            "object": "list",
            "url": f"/v1/{kind}s",
            "has_more": len(found) > limit,
            "data": found[:limit],
        }

    def move_balance(
        self, amount: int, category: str, source: str, fee: int = 0, kind: str = ""
    ) -> Json:
        """A balance transaction; amount in cents, out of the balance below zero."""
        return self.make(
            "txn",
            "balance_transaction",
            amount=amount,
            currency="usd",
            fee=fee,
            fee_details=[],
            net=amount - fee,
            available_on=self.now_s(),
            exchange_rate=None,
            description=None,
            reporting_category=category,
            source=source,
            status="available",
            type=kind or category,
        )
