"""`portico price`: list, set and import what models cost."""

from collections import Counter
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from portico.accounts.actors.login import login
from portico.accounts.actors.model import operator
from portico.accounts.catalogue.prices import set_prices
from portico.admission.rules import dollars
from portico.cli.money.prices.price_seed import ExtraMissing, Seed, providers, seeds
from portico.cli.output import Exit, console, errors, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import NANO_DIGITS, Unreadable, moment, moment_ms, scaled
from portico.db.database import Database
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.pricing.book import Book
from portico.pricing.model import REQUEST, Price, PriceWish, Tier
from portico.pricing.rules import REQUIRED
from portico.pricing.service import read_book

app = App(name="price", help="List, set and import what models cost.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Dollars = str | None
_PER_REQUEST_DIGITS = NANO_DIGITS + 6
"""A price is kept per 1,000,000 units, so one for a single request has six digits more."""
Change = Literal["new", "changed", "same", "only here"]
ONLY_HERE: Change = "only here"
Reviewed = tuple[PriceWish, int | None, Change]
"""A price of the list, what it costs here now, and what storing it would do."""


@app.command(name="list")
def list_all(
    *,
    model: Annotated[str | None, Parameter(help="Of this model only.")] = None,
    at: Annotated[str | None, Parameter(help="As they are at this date; now if left out.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Prices in force, and those that take effect later.

    Example: `portico price list --model my-model --at 2026-12-01`
    """
    at_ms = SystemClock().wall_ms() if at is None else _moment(at, "--at")
    book = _database(data_dir).read(read_book)
    found = [price for price in book.list_at(at_ms) if model in (None, price.model)]
    later = [price for price in book.later_than(at_ms) if model in (None, price.model)]
    if json:
        shown = {"prices": [_shown(p) for p in found], "later": [_shown(p) for p in later]}
        say_json({"at_ms": at_ms, **shown})
        return
    if found:
        _say_prices(found)
    else:
        console.print("No price is in force: `portico price set` gives a model one.", markup=False)
    if later:
        console.print("\nLater:")
        _say_prices(later)


@app.command(name="set")
def set_one(
    model: str,
    /,
    *,
    input: Annotated[Dollars, Parameter(help="Input text.")] = None,
    output: Annotated[Dollars, Parameter(help="Output text.")] = None,
    cache_read: Annotated[Dollars, Parameter(help="Input read from a cache.")] = None,
    cache_write_5m: Annotated[Dollars, Parameter(help="Input kept for 5 minutes.")] = None,
    cache_write_1h: Annotated[Dollars, Parameter(help="Input kept for an hour.")] = None,
    image: Annotated[Dollars, Parameter(help="Input images.")] = None,
    audio: Annotated[Dollars, Parameter(help="Input audio.")] = None,
    reasoning: Annotated[Dollars, Parameter(help="Output that is reasoning.")] = None,
    output_audio: Annotated[Dollars, Parameter(help="Output audio.")] = None,
    per_request: Annotated[Dollars, Parameter(help="Dollars for each request.")] = None,
    tier: Annotated[Tier, Parameter(help="Service tier.")] = "standard",
    above: Annotated[int, Parameter(help="Counts where the input has more tokens.")] = 0,
    plan: Annotated[str, Parameter(help="Only for organisations on this plan.")] = "",
    from_: Annotated[
        str | None, Parameter(name="--from", help="From this date on (UTC); now if left out.")
    ] = None,
    author: Annotated[str | None, Parameter(help="Who decided it; your login name.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Give MODEL prices, in dollars per million tokens.  What is stored is never changed: a new price counts
    from its day on, and what was charged before stays.

    Example: `portico price set my-model --input 0.15 --output 0.60 --from 2026-12-01`
    """
    typed = {
        "input_text": input,
        "output_text": output,
        "input_cache_read": cache_read,
        "input_cache_write_5m": cache_write_5m,
        "input_cache_write_1h": cache_write_1h,
        "input_image": image,
        "input_audio": audio,
        "output_reasoning": reasoning,
        "output_audio": output_audio,
        REQUEST: per_request,
    }
    each = PriceWish(
        model=model,
        meter="",
        tier=tier,
        plan=plan,
        above_input_tokens=above,
        nano_per_million=0,
        effective_from_ms=None if from_ is None else _moment(from_, "--from"),
    )
    _set(each, typed, _database(data_dir), author or login(), json=json)


@app.command(name="import")
def import_list(
    *,
    provider: Annotated[str | None, Parameter(help="Of this provider.")] = None,
    model: Annotated[str | None, Parameter(help="This model of the list.")] = None,
    name: Annotated[
        str | None, Parameter(name="--as", help="What --model is called here; the same name.")
    ] = None,
    apply: Annotated[bool, Parameter(negative="", help="Store what is shown.")] = False,
    author: Annotated[str | None, Parameter(help="Who has reviewed it; with --apply.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Review the list prices of other providers beside your own, and store them if you want to.

    The list is the one inside the installed genai-prices package; nothing is fetched, and requests are
    never rated by it.  Without --provider and --model it shows whose prices there are.

    Example: `portico price import --provider openai --model gpt-5 --as my-model`
    """
    if apply and not author:
        stop(Exit.USAGE, "--apply needs --author: who has reviewed these prices.")
    if name and not model:
        stop(Exit.USAGE, "--as renames one model; name it with --model.")
    now_ms = SystemClock().wall_ms()
    try:
        if provider is None and model is None:
            _say_providers(providers(), json=json)
            return
        found = seeds(provider, model, name, now_ms)
    except ExtraMissing as error:
        stop(Exit.FAILED, str(error), fix="Install it: pip install 'portico[prices]'.")
    _check_found(found, provider, model)
    database = _database(data_dir)
    reviewed = _review(database.read(read_book), found, now_ms)
    wanted = [wish for wish, _, change in reviewed if change in ("new", "changed")]
    if apply and wanted:
        _store(database, wanted, author or "")
    _report(found, reviewed, applied=apply, json=json)


def _database(data_dir: str | None) -> Database:
    return database_of(settings_for(None, server={"data_dir": data_dir}))


def _moment(text: str, flag: str) -> int:
    try:
        return moment_ms(text)
    except Unreadable as error:
        stop(Exit.USAGE, f"{flag}: {error}")


def _nano(meter: str, text: str) -> int:
    try:
        return scaled(text, _PER_REQUEST_DIGITS if meter == REQUEST else NANO_DIGITS)
    except Unreadable as error:
        stop(Exit.USAGE, f"the price of {meter}: {error}")


def _set(
    each: PriceWish, typed: dict[str, Dollars], database: Database, author: str, *, json: bool
) -> None:
    """each: what is the same for all the meters that were typed."""
    wishes = [
        msgspec.structs.replace(each, meter=meter, nano_per_million=_nano(meter, text))
        for meter, text in typed.items()
        if text is not None
    ]
    if not wishes:
        stop(Exit.USAGE, "no price is given.", fix="Name one, such as --input 0.15 --output 0.60.")
    stored = _store(database, wishes, author)
    if json:
        say_json({"prices": [_shown(price) for price in stored]})
    else:
        _say_prices(stored)
    _warn_of_gaps(database.read(read_book), stored[0])


def _store(database: Database, wishes: list[PriceWish], author: str) -> list[Price]:
    clock = SystemClock()
    try:
        return database.write(
            lambda connection: set_prices(operator(connection, clock), wishes, author)
        )
    except Refusal as refusal:
        stop(Exit.USAGE, refusal.message, fix="Nothing was stored.")


def _warn_of_gaps(book: Book, stored: Price) -> None:
    """A model with half a price list is not for sale, and nobody would see why."""
    priced = book.in_force(stored.model, stored.tier, stored.plan, stored.effective_from_ms)
    missing = [meter for meter in REQUIRED if meter not in priced]
    if missing:
        errors.print(
            f"{stored.model} (tier {stored.tier}) is not for sale yet: it has no price for "
            f"{' and '.join(missing)}.",
            markup=False,
        )


def _check_found(found: list[Seed], provider: str | None, model: str | None) -> None:
    if not found:
        words = f"the list has no model {model!r}" if model else f"the list has no {provider!r}"
        if model and provider:
            words += f" of {provider!r}"
        stop(Exit.FAILED, f"{words}.", fix="`portico price import` shows whose prices there are.")
    names = sorted({seed.provider for seed in found})
    if len(names) > 1:
        stop(
            Exit.FAILED,
            f"{len(names)} providers list {model!r}: {', '.join(names)}.",
            fix="Choose one with --provider.",
        )


def _review(book: Book, found: list[Seed], now_ms: int) -> list[Reviewed]:
    """Each price of the list beside the one here, then the steps that only the price here has."""
    reviewed: list[Reviewed] = []
    for seed in found:
        listed = {(w.tier, w.meter, w.above_input_tokens): w for w in seed.prices}
        for (tier, meter, above), wish in listed.items():
            steps = book.in_force(wish.model, tier, "", now_ms).get(meter, ())
            here = {step.above_input_tokens: step.nano_per_million for step in steps}
            reviewed.append((wish, here.get(above), _change(wish, here.get(above))))
            missing = [] if above else [each for each in here if (tier, meter, each) not in listed]
            reviewed += [(_kept(wish, each, here[each]), here[each], ONLY_HERE) for each in missing]
    return reviewed


def _change(wish: PriceWish, known: int | None) -> Change:
    if known is None:
        return "new"
    return "same" if known == wish.nano_per_million else "changed"


def _kept(base: PriceWish, above: int, nano: int) -> PriceWish:
    return msgspec.structs.replace(base, above_input_tokens=above, nano_per_million=nano)


def _report(
    found: list[Seed],
    reviewed: list[Reviewed],
    *,
    applied: bool,
    json: bool,
) -> None:
    left_out = [(s.model, what) for s in found for what in s.left_out]
    counts = Counter(change for _, _, change in reviewed)
    if json:
        rows = [
            {**msgspec.structs.asdict(wish), "nano_per_million_now": known, "change": change}
            for wish, known, change in reviewed
        ]
        skipped = [{"model": model, "what": what} for model, what in left_out]
        say_json({"applied": applied, "counts": counts, "prices": rows, "left_out": skipped})
        return
    say_table(
        ("model", "tier", "meter", "above", "change", "$ now", "$ listed", "nano listed"),
        [
            (
                wish.model,
                wish.tier,
                wish.meter,
                wish.above_input_tokens or "-",
                change,
                "-" if known is None else _price(wish.meter, known),
                "-" if change == "only here" else _price(wish.meter, wish.nano_per_million),
                "-" if change == "only here" else wish.nano_per_million,
            )
            for wish, known, change in reviewed
        ],
        numbers=3,
    )
    for model, what in left_out:
        console.print(f"left out of {model}: {what}", markup=False)
    said = ", ".join(f"{count} {change}" for change, count in counts.items()) or "no price"
    stored = counts["new"] + counts["changed"]
    console.print(
        f"{said}.  "
        + (
            f"{stored} stored."
            if applied
            else "Nothing is stored; --apply --author NAME stores what is new or changed."
        ),
        markup=False,
    )


def _say_providers(found: dict[str, int], *, json: bool) -> None:
    if json:
        say_json({"providers": found})
        return
    say_table(("provider", "models"), list(found.items()), numbers=1)
    console.print("Choose with --provider, --model or both.", markup=False)


def _say_prices(prices: list[Price]) -> None:
    say_table(
        ("model", "tier", "plan", "meter", "above", "from (UTC)", "by", "$", "nano per million"),
        [
            (
                price.model,
                price.tier,
                price.plan or "-",
                price.meter,
                price.above_input_tokens or "-",
                moment(price.effective_from_ms),
                price.author,
                _price(price.meter, price.nano_per_million),
                price.nano_per_million,
            )
            for price in prices
        ],
        numbers=2,
    )


def _price(meter: str, nano_per_million: int) -> str:
    """As people say it: for a million tokens, or for one request."""
    if meter != REQUEST:
        return f"{dollars(nano_per_million)} per 1M"
    whole, behind = divmod(nano_per_million, 10**_PER_REQUEST_DIGITS)
    digits = f"{behind:0{_PER_REQUEST_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"${whole}.{digits} each"


def _shown(price: Price) -> dict[str, Any]:
    return msgspec.structs.asdict(price)
