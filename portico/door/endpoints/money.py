"""GET /v1/balance, /v1/limits and /v1/prices: free, with an ordinary key.

Amounts are nano-USD (a thousand millionth of a dollar) as strings: JSON readers round integers above
2**53.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from portico.admission.standing import Standing, Window
from portico.callers.model import Caller
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.ledger.model import Account
from portico.pricing.model import Price
from portico.rates.model import Rule


class Standings(Protocol):
    async def of(self, caller: Caller) -> Standing: ...


AskPrices = Callable[[Caller], Sequence[Price]]
"""What the caller's organisation would pay today, discounts left out."""
TermsOf = Callable[[Caller], str]


class Money:
    def __init__(
        self,
        callers: Verifier,
        standings: Standings,
        terms_of: TermsOf,
        prices: AskPrices,
        rules_of: Callable[[Caller], Sequence[Rule]],
    ) -> None:
        """rules_of: limits per minute that count for a caller."""
        self._callers = callers
        self._standings = standings
        self._terms_of = terms_of
        self._prices = prices
        self._rules_of = rules_of

    async def balance(self, exchange: Exchange, _: str) -> None:
        caller = await self._caller(exchange)
        standing = await self._standing(exchange, caller)
        terms = self._terms_of(caller)
        available_nano = None if terms == "internal" else standing.available_nano
        answer_json(
            exchange,
            200,
            {
                "object": "balance",
                "organisation_id": caller.organisation_id,
                "currency": "USD",
                "terms": terms,
                "available_nano_usd": None if available_nano is None else str(available_nano),
                "held_nano_usd": str(sum(a.held_nano for a in standing.accounts)),
                "accounts": [_account(each) for each in standing.accounts],
            },
        )

    async def limits(self, exchange: Exchange, _: str) -> None:
        caller = await self._caller(exchange)
        standing = await self._standing(exchange, caller)
        answer_json(
            exchange,
            200,
            {
                "object": "limits",
                "concurrency": {"requests": caller.concurrency_max},
                "rates": [_rate(rule) for rule in self._rules_of(caller)],
                "budgets": [_budget(each) for each in standing.windows],
            },
        )

    async def prices(self, exchange: Exchange, _: str) -> None:
        caller = await self._caller(exchange)
        prices = self._prices(caller)
        answer_json(
            exchange,
            200,
            {"object": "list", "currency": "USD", "data": [_price(p) for p in prices]},
        )

    async def _standing(self, exchange: Exchange, caller: Caller) -> Standing:
        standing = await self._standings.of(caller)
        if self._terms_of(caller) != "internal":  # nothing is set aside for those who never pay
            exchange.also += standing.lines()
        return standing

    async def _caller(self, exchange: Exchange) -> Caller:
        return await identify(self._callers, exchange)


def _rate(rule: Rule) -> dict[str, Any]:
    """None: no limit of this kind."""
    return {
        "scope": rule.scope,
        "model": rule.model or None,
        "requests_per_minute": rule.requests_per_minute,
        "input_tokens_per_minute": rule.input_tokens_per_minute,
        "output_tokens_per_minute": rule.output_tokens_per_minute,
        "requests_at_once": rule.requests_at_once,
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "kind": account.kind,
        "balance_nano_usd": str(account.posted_nano),
        "held_nano_usd": str(account.held_nano),
        "floor_nano_usd": None if account.floor_nano is None else str(account.floor_nano),
        "expires_at": None if account.expires_at_ms is None else _rfc3339(account.expires_at_ms),
    }


def _budget(window: Window) -> dict[str, Any]:
    limit = window.limit
    return {
        "scope": limit.scope,
        "id": limit.scope_id,
        "period": limit.period,
        "cap_nano_usd": str(limit.cap_nano),
        "spent_nano_usd": str(window.spent_nano),
        "held_nano_usd": str(window.held_nano),
        "remaining_nano_usd": str(window.remaining_nano),
        "resets_at": _rfc3339(limit.ends_at_ms),
    }


def _price(price: Price) -> dict[str, Any]:
    return {
        "model": price.model,
        "meter": price.meter,
        "service_tier": price.tier,
        "above_input_tokens": price.above_input_tokens,
        "nano_usd_per_million": str(price.nano_per_million),
        "effective_from": _rfc3339(price.effective_from_ms),
    }


def _rfc3339(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
