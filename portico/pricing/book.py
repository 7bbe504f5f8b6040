"""The price book: every price and every organisation's terms, and which of them count when.

A frozen snapshot.  Pure.
"""

from collections import defaultdict
from collections.abc import Iterable

from portico.pricing.model import METERS, NANO_MAX, TIERS, Price, Terms

Steps = tuple[Price, ...]
"""The prices of one meter by `above_input_tokens`; the first one counts from 0 on."""

WITHOUT_TERMS = Terms(
    id="",
    organisation_id="",
    kind="prepaid",
    effective_from_ms=0,
    author="",
    created_at_ms=0,
)
"""How an organisation pays that nobody agreed anything with: the list price, in advance."""

NEVER_MS = NANO_MAX


class Book:
    """Prices by model and tier, terms by organisation."""

    def __init__(self, prices: Iterable[Price] = (), terms: Iterable[Terms] = ()) -> None:
        by_model: defaultdict[tuple[str, str], list[Price]] = defaultdict(list)
        for price in prices:
            by_model[price.model, price.tier].append(price)
        by_organisation: defaultdict[str, list[Terms]] = defaultdict(list)
        for each in terms:
            by_organisation[each.organisation_id].append(each)
        self._prices = {key: tuple(sorted(found, key=_age)) for key, found in by_model.items()}
        self._terms = {
            key: tuple(sorted(found, key=_age)) for key, found in by_organisation.items()
        }
        self.size = (
            sum(map(len, self._prices.values())),
            sum(map(len, self._terms.values())),
        )
        """How many prices and how many terms: rows are only ever added, so it tells a change."""

    def in_force(self, model: str, tier: str, plan: str, now_ms: int) -> dict[str, Steps]:
        """The steps of every meter that has a price at `now_ms`, for organisations on `plan`.

        A plan that prices a meter prices all of it: the steps of the general price do not count.
        A meter with steps but without a price from 0 on has none.
        """
        newest: defaultdict[tuple[str, str], dict[int, Price]] = defaultdict(dict)
        for price in self._prices.get((model, tier), ()):
            if price.effective_from_ms <= now_ms and price.plan in ("", plan):
                newest[price.meter, price.plan][price.above_input_tokens] = price
        found: dict[str, Steps] = {}
        for (meter, whose), steps in newest.items():
            if 0 in steps and (meter not in found or whose):
                found[meter] = tuple(steps[above] for above in sorted(steps))
        return found

    def all_in_force(self, plan: str, now_ms: int) -> list[Price]:
        """Every price that counts at `now_ms` for organisations on `plan`: models by name, tiers
        and meters in their order."""
        return [
            step
            for model, tier in self._names()
            for _, steps in sorted(self.in_force(model, tier, plan, now_ms).items(), key=_place)
            for step in steps
        ]

    def list_at(self, now_ms: int) -> list[Price]:
        """Every price that counts for anybody at `now_ms`, those of plans after the general ones."""
        plans = sorted({price.plan for found in self._prices.values() for price in found})
        return [p for plan in plans for p in self.all_in_force(plan, now_ms) if p.plan == plan]

    def prices(self) -> list[Price]:
        """Every one ever stored: models by name, tiers in their order, the oldest first."""
        return [price for key in self._names() for price in self._prices[key]]

    def later_than(self, now_ms: int) -> list[Price]:
        """Every price that takes effect after `now_ms`, the next one first."""
        return sorted((p for p in self.prices() if p.effective_from_ms > now_ms), key=_age)

    def terms_of(self, organisation_id: str, now_ms: int) -> Terms:
        """`WITHOUT_TERMS` for an organisation that has none yet."""
        counts = WITHOUT_TERMS
        for each in self._terms.get(organisation_id, ()):
            if each.effective_from_ms <= now_ms:
                counts = each
        return counts

    def prices_change_at_ms(self, model: str, tier: str, now_ms: int) -> int:
        """When a price of `model` at `tier` next takes effect; `NEVER_MS` when none is known."""
        return _next(self._prices.get((model, tier), ()), now_ms)

    def terms(self, organisation_id: str) -> tuple[Terms, ...]:
        """Every one ever stored, oldest first."""
        return self._terms.get(organisation_id, ())

    def _names(self) -> list[tuple[str, str]]:
        return sorted(self._prices, key=lambda key: (key[0], TIERS.index(key[1])))


def _place(priced: tuple[str, Steps]) -> int:
    return METERS.index(priced[0])


def _age(row: Price | Terms) -> int:
    return row.effective_from_ms


def _next(rows: Iterable[Price | Terms], now_ms: int) -> int:
    later = (row.effective_from_ms for row in rows if row.effective_from_ms > now_ms)
    return min(later, default=NEVER_MS)
