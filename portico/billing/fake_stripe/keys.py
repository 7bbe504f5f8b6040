"""Idempotency as in v1 of Stripe's API: the first result of a key is kept and given again, also a
500; the same key with another request is an error.  What failed a check first is not kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.billing.fake_stripe.world import Failed


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    body: dict[str, Any]
    replayed: bool = False


class Keys:
    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Result]] = {}

    def once(self, key: str, asked: object, work: Callable[[], Result]) -> Result:
        """asked: what must be the same for the same key.  Raises: Failed."""
        if not key:
            return work()
        if key in self._kept:
            before, result = self._kept[key]
            if before != asked:
                raise Failed(
                    400,
                    "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters they "
                    f"were first used with. Try using a key other than '{key}'.",
                )
            return Result(result.status, result.body, replayed=True)
        try:
            result = work()
        except Failed as failed:
            if failed.executed:
                self._kept[key] = (asked, Result(failed.status, failed.body))
            raise
        self._kept[key] = (asked, result)
        return result

    def forget(self) -> None:
        """As Stripe does after a day or more."""
        self._kept.clear()
