"""Top-ups whose events arrive twice, late, out of order or never: each is credited once.

    uv run python -m bench.faults.topups [--json] [--count 1000]

A third of the cards is charged at once, a third wants its holder to confirm, and for a third
Stripe's answer is lost after the charge.  30 % of the events are sent twice, 30 % after later ones,
10 % not at all; four threads receive them.  What they did not bring, the poller finds; then Stripe's
balance is compared with ours.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass

from bench.faults.place import KINDS, fresh
from bench.faults.shop import ORG, Shop, port
from portico.billing.fake_stripe.courier import Letter, Switches
from portico.billing.payments.differences import psp_differences
from portico.billing.payments.model import ProviderUnavailable
from portico.db.database import open_database

_CARDS = ("pm_card_visa", "pm_card_authenticationRequired", "pm_card_visa")
_AT_ONCE = 20
_THREADS = 4
_TRIES = 3
_SWITCHES = Switches(duplicate=0.3, reorder=0.3, drop=0.1)


@dataclass(frozen=True)
class Result:
    """at_once: credited before any event.  by_events, by_poller: credited by those.
    charges: what Stripe charged.  differences: between Stripe's balance and ours."""

    database: str
    top_ups: int
    events: int
    delivered: int
    at_once: int
    by_events: int
    by_poller: int
    charges: int
    credited: int
    credited_nano: int
    owed_nano: int
    differences: int
    unbalanced: int
    wall_s: float

    @property
    def exact(self) -> bool:
        return (
            self.top_ups == self.charges == self.credited
            and self.credited_nano == self.owed_nano
            and not self.differences
            and not self.unbalanced
        )


def run(shop: Shop, count: int) -> Result:
    """In an empty database."""
    started_s = time.perf_counter()
    shop.fake.courier.switches = _SWITCHES
    amounts = [100 + number for number in range(count)]
    delivered = at_once = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        for first in range(0, count, _AT_ONCE):
            some = amounts[first : first + _AT_ONCE]
            before = _paid(shop)
            _ask(shop, some)
            at_once += _paid(shop) - before
            letters = shop.fake.courier.letters()
            delivered += len(letters)
            list(threads.map(lambda letter: _receive(shop, letter), letters))
    by_events = _paid(shop) - at_once
    shop.clock.now_ms += 60_000
    while shop.office.poller.run().orders:
        pass
    return _result(shop, amounts, delivered, at_once, by_events, started_s)


def _ask(shop: Shop, amounts: Sequence[int]) -> None:
    for card in range(3):
        shop.keep(_CARDS[card])
        for amount_minor in amounts[card::3]:
            if card == 2:
                shop.switch("faults", "path=/v1/payment_intents&how=lost")
            with suppress(ProviderUnavailable):
                shop.office.top_ups.top_up(ORG, amount_minor)
            intent = shop.made("payment_intent")[-1]
            if intent["status"] == "requires_action":
                shop.switch(f"payment_intents/{intent['id']}/authenticate")


def _receive(shop: Shop, letter: Letter) -> None:
    """Again where it is not taken, as Stripe does."""
    assert shop.office.events is not None
    for _ in range(_TRIES):
        with suppress(ProviderUnavailable):
            shop.office.events.receive(letter.body, letter.signature)
            return


def _paid(shop: Shop) -> int:
    return int(shop.rows("SELECT count(*) FROM top_up WHERE state = 'paid'")[0][0])


def _result(
    shop: Shop,
    amounts: list[int],
    delivered: int,
    at_once: int,
    by_events: int,
    started_s: float,
) -> Result:
    per_order = Counter(reason for (reason,) in shop.rows("SELECT reason FROM txn"))
    lines = shop.desk.stripe.balance_lines(0)
    differences = shop.desk.do(lambda t: psp_differences(t, lines, shop.clock.now_ms + 1))
    return Result(
        shop.database.dialect,
        len(amounts),
        len(shop.made("event")),
        delivered,
        at_once,
        by_events,
        _paid(shop) - at_once - by_events,
        len(shop.made("charge")),
        sum(times == 1 for times in per_order.values()),
        shop.credit_nano(),
        sum(amounts) * 10_000_000,
        len(differences),
        len(shop.unbalanced()),
        round(time.perf_counter() - started_s, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=1_000)
    wanted = parser.parse_args()
    results = []
    for kind in KINDS:
        with fresh(kind) as address, port() as stripe_at:
            shop = Shop(open_database(address.folder, address.url), stripe_at)
            results.append(run(shop, wanted.count))
    if wanted.json:
        print(json.dumps([{**asdict(each), "exact": each.exact} for each in results]))
    else:
        for name in asdict(results[0]):
            print(f"{name:14}", *(f"{asdict(each)[name]:>18}" for each in results))
        print(f"{'exact':14}", *(f"{each.exact!s:>18}" for each in results))
    sys.exit(not all(each.exact for each in results))


if __name__ == "__main__":
    main()
