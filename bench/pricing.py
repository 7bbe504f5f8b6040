"""What pricing costs a request: the quote, the worst case, the charge; and how long a price book
takes to load.

    uv run python bench/pricing.py [--json] [--seconds 1]

Each figure is CPU time on one thread, the median of 7 rounds.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import insert

from portico.canon.usage import Meters
from portico.db import tables
from portico.db.database import Database, open_database
from portico.db.readers import Readers
from portico.kit.clock import SystemClock
from portico.pricing.model import INPUT_METERS, OUTPUT_METERS, PriceWish, Quote, TermsWish
from portico.pricing.rules import bound, pin, rate, rerate
from portico.pricing.service import Prices, read_book, set_prices, set_terms

MODELS = 500
ROUNDS = 7
PLAIN = Meters(input_text=812, output_text=240)
RICH = Meters(
    input_text=812, input_cache_read=12_000, output_text=240, output_reasoning=900, input_image=85
)


def _fill(database: Database) -> None:
    """Models with every meter and one long-context step; organisations with terms."""
    clock = SystemClock()
    wishes = [
        PriceWish(
            model=f"model-{n}",
            meter=meter,
            above_input_tokens=above,
            nano_per_million=150_000_001 + n,
        )
        for n in range(MODELS)
        for meter in (*INPUT_METERS, *OUTPUT_METERS)
        for above in ((0, 200_000) if meter in ("input_text", "output_text") else (0,))
    ]
    names = [{"id": f"org_{n}", "name": "x", "created_at_ms": n} for n in range(3)]
    database.write(lambda c: c.execute(insert(tables.organisation), names))
    database.write(lambda c: set_prices(c, wishes, "bench", clock))
    for n in range(3):
        wish = TermsWish(organisation_id=f"org_{n}", kind="prepaid")
        database.write(lambda c, wish=wish: set_terms(c, wish, "bench", clock))


def _microseconds(work: Callable[[], object], seconds: float) -> float:
    times = 1
    while True:  # as many as take about a round
        began_s = time.thread_time()
        for _ in range(times):
            work()
        took_s = time.thread_time() - began_s
        if took_s >= seconds / ROUNDS / 4:
            break
        times *= 2
    rounds = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        for _ in range(times):
            work()
        rounds.append((time.thread_time() - began_s) / times * 1e6)
    return round(statistics.median(rounds), 2)


async def _bench(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder))
        _fill(database)
        began_s = time.perf_counter()
        book = database.read(read_book)
        load_ms = (time.perf_counter() - began_s) * 1000
        readers = Readers(database)
        prices = Prices(readers, SystemClock())
        await prices.refresh()
        began_s = time.perf_counter()
        await prices.refresh()
        unchanged_ms = (time.perf_counter() - began_s) * 1000
        terms = prices.terms_of("org_1")
        now_ms = SystemClock().wall_ms()
        quoted = prices.quote("model-7", "standard", terms)
        quote, text = quoted.quote, quoted.text
        decode = msgspec.json.Decoder(Quote).decode
        lines = rate(quote, RICH).lines

        def at_hand() -> object:
            return prices.quote("model-7", "standard", prices.terms_of("org_1"))

        works: dict[str, Callable[[], object]] = {
            "terms and quote, at hand": at_hand,
            "pin a quote afresh": lambda: pin(book, "model-7", "standard", terms, now_ms),
            "bound": lambda: bound(quote, 20_000, 1_024, 1),
            "rate 2 meters": lambda: rate(quote, PLAIN),
            "rate 5 meters": lambda: rate(quote, RICH),
            "rate again 5 lines": lambda: rerate(lines, 1, 1),
            "quote from its text": lambda: decode(text),
        }
        figures = {f"{name}, us": _microseconds(work, seconds) for name, work in works.items()}
        readers.close()
        rows = book.size[0]
        return {
            **figures,
            f"load a book of {rows} prices, ms": round(load_ms, 1),
            "look for changes, none, ms": round(unchanged_ms, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0, help="per figure, about")
    options = parser.parse_args()
    figures = asyncio.run(_bench(options.seconds))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:40}{figure:>10}")


if __name__ == "__main__":
    main()
