"""`portico price` and `portico terms`, run."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from cyclopts import App
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider, Tier, TieredPrices
from sqlalchemy import insert

from portico.accounts.actors.login import login
from portico.cli import words
from portico.cli.money import terms
from portico.cli.money.prices import price, price_seed
from portico.db.database import Database
from portico.db.tables import organisation
from portico.kit.clock import SystemClock
from portico.pricing.model import Discount, Price
from portico.pricing.service import read_book
from tests.db.databases import new_sqlite

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stored(tmp_path: Path) -> Database:
    database = new_sqlite(tmp_path)
    row = {"id": "org_1", "name": "Us", "created_at_ms": 1}
    database.write(lambda c: c.execute(insert(organisation), [row]))
    return database


@pytest.fixture
def run(
    stored: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[App], Run]:
    def command(app: App) -> Run:
        def run(*typed: str) -> tuple[int, str, str]:
            with pytest.raises(SystemExit) as ended:
                app([*typed, "--data-dir", str(tmp_path)])
            said = capsys.readouterr()
            assert isinstance(ended.value.code, int)
            return ended.value.code, said.out, said.err

        return run

    return command


@pytest.fixture
def prices(run: Callable[[App], Run]) -> Run:
    return run(price.app)


@pytest.fixture
def agreed(run: Callable[[App], Run]) -> Run:
    return run(terms.app)


def in_force(database: Database, model: str = "m", tier: str = "standard") -> dict[str, int]:
    book = database.read(read_book)
    now_ms = SystemClock().wall_ms()
    return {
        f"{step.meter}>{step.above_input_tokens}": step.nano_per_million
        for steps in book.in_force(model, tier, "", now_ms).values()
        for step in steps
    }


def everything(database: Database) -> list[Price]:
    book = database.read(read_book)
    return [*book.list_at(SystemClock().wall_ms()), *book.later_than(SystemClock().wall_ms())]


# -- price set ------------------------------------------------------------------------------------


def test_set_stores_exactly_what_was_typed_and_says_so(prices: Run, stored: Database) -> None:
    code, out, err = prices(
        *("set", "m", "--input", "0.15", "--output", "$0.60", "--cache-read", "0.0375"),
        *("--cache-write-5m", "0.000000001", "--cache-write-1h", "1", "--image", "0"),
        *("--audio", "12.5", "--reasoning", "0.1", "--output-audio", "0.3"),
        *("--per-request", "0.000000000000001", "--author", "ada"),
    )
    assert (code, err) == (0, "")
    wanted = {
        "input_text": ("$0.15 per 1M", 150_000_000),
        "output_text": ("$0.60 per 1M", 600_000_000),
        "input_cache_read": ("$0.0375 per 1M", 37_500_000),
        "input_cache_write_5m": ("$0.000000001 per 1M", 1),
        "input_cache_write_1h": ("$1.00 per 1M", 1_000_000_000),
        "input_image": ("$0.00 per 1M", 0),
        "input_audio": ("$12.50 per 1M", 12_500_000_000),
        "output_reasoning": ("$0.10 per 1M", 100_000_000),
        "output_audio": ("$0.30 per 1M", 300_000_000),
        "request": ("$0.000000000000001 each", 1),
    }
    assert in_force(stored) == {f"{meter}>0": nano for meter, (_, nano) in wanted.items()}
    for meter, (dollars, nano) in wanted.items():
        (line,) = [line for line in out.splitlines() if line.split()[3:4] == [meter]]
        assert f"{dollars} " in line
        assert line.endswith(f" {nano}")
        assert " ada " in line


def test_set_says_what_a_model_still_lacks(prices: Run) -> None:
    code, _, err = prices("set", "m", "--input", "1")
    assert code == 0
    assert "m (tier standard) is not for sale yet: it has no price for output_text." in err
    assert prices("set", "m", "--output", "1")[2] == ""
    assert "input_text" in prices("set", "m", "--output", "1", "--tier", "flex")[2]
    assert prices("set", "m", "--output", "1", "--plan", "gold")[2] == ""


def test_set_from_a_day_on_and_for_a_plan_a_tier_and_a_step(prices: Run, stored: Database) -> None:
    base = ("set", "m", "--input", "1", "--output", "2", "--plan", "gold", "--tier", "flex")
    assert prices(*base, "--from", "2099-12-01")[0] == 0
    assert prices(*base, "--above", "200000", "--from", "2099-12-31T23:00:00-01:00")[0] == 0
    found = {(p.meter, p.above_input_tokens): p for p in everything(stored)}
    step = found["input_text", 200_000]
    assert (step.plan, step.tier, step.nano_per_million) == ("gold", "flex", 10**9)
    assert step.effective_from_ms == datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000
    day = datetime(2099, 12, 1, tzinfo=UTC).timestamp() * 1000
    assert found["output_text", 0].effective_from_ms == day
    assert step.author == login()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("--input", "-1"), "input_text: -1 is negative"),
        (("--input=-0.1"), "-0.1 is negative"),
        (("--input", "1e-3"), "'1e-3' is no amount"),
        (("--input", "1,5"), "'1,5' is no amount"),
        (("--input", ".5"), "'.5' is no amount"),
        (("--input", "٣"), "is no amount"),
        (("--input", "NaN"), "'NaN' is no amount"),
        (("--input", "0.1234567891"), "10 digits behind the point; 9 can be kept"),
        (("--per-request", "0.0000000000000001"), "16 digits behind the point; 15"),
        (("--input", "1000001"), "Were nano-USD given for dollars?"),
        (("--input", "1", "--from", "2020-01-01"), "2020-01-01 00:00:00 UTC, which is past"),
        (("--input", "1", "--from", "tomorrow"), "--from: 'tomorrow' is no date"),
        (("--input", "1", "--above", "100"), "to step up from"),
        (("--input", "1", "--tier", "ultrafast"), "ultrafast"),
        (("--input", "1", "--author", " "), "author is ' '"),
        ((), "no price is given"),
    ],
)
def test_set_refuses_with_exit_code_2_and_stores_nothing(
    prices: Run, stored: Database, typed: tuple[str, ...], says: str
) -> None:
    typed = (typed,) if isinstance(typed, str) else typed
    code, out, err = prices("set", "m", *typed)
    assert (code, out) == (2, "")
    assert says in err
    assert everything(stored) == []


# -- price list -----------------------------------------------------------------------------------


def test_list_shows_what_is_in_force_and_what_comes_later(prices: Run) -> None:
    assert "No price is in force" in prices("list")[1]
    prices("set", "m", "--input", "1", "--output", "2")
    prices("set", "m", "--input", "3", "--from", "2099-12-01")
    prices("set", "other", "--input", "1", "--output", "2")
    _, out, _ = prices("list", "--model", "m")
    now, _, later = out.partition("Later:")
    assert "other" not in out
    assert "$1.00 per 1M" in now
    assert "$3.00 per 1M" not in now
    assert "$3.00 per 1M" in later
    _, at, _ = prices("list", "--model", "m", "--at", "2099-12-01")
    assert "$3.00 per 1M" in at
    assert "$1.00 per 1M" not in at
    assert "Later" not in at
    code, _, err = prices("list", "--at", "someday")
    assert (code, "--at: 'someday' is no date" in err) == (2, True)


def test_list_as_json(prices: Run, stored: Database) -> None:
    prices("set", "m", "--input", "1", "--output", "2", "--author", "ada")
    prices("set", "m", "--input", "3", "--from", "2099-12-01")
    said = json.loads(prices("list", "--json")[1])
    first, second = said["prices"]
    assert (first["meter"], first["nano_per_million"], first["author"]) == (
        "input_text",
        10**9,
        "ada",
    )
    assert second["meter"] == "output_text"
    assert [each["nano_per_million"] for each in said["later"]] == [3 * 10**9]
    assert {each["id"] for each in said["prices"]} < {each.id for each in everything(stored)}
    assert json.loads(prices("list", "--model", "x", "--json")[1])["prices"] == []
    stored_json = json.loads(prices("set", "n", "--input", "1", "--output", "1", "--json")[1])
    assert [each["model"] for each in stored_json["prices"]] == ["n", "n"]


# -- price import: figures are those of the genai-prices that uv.lock pins ------------------------


def test_import_shows_whose_prices_there_are(prices: Run) -> None:
    code, out, _ = prices("import")
    assert code == 0
    assert any(line.split()[0] == "openai" for line in out.splitlines())
    assert json.loads(prices("import", "--json")[1])["providers"]["anthropic"] > 10


def test_import_shows_and_stores_nothing_until_it_is_told_who_has_reviewed(
    prices: Run, stored: Database
) -> None:
    typed = ("import", "--provider", "openai", "--model", "gpt-4.1", "--as", "m")
    code, out, _ = prices(*typed)
    assert code == 0
    assert "Nothing is stored; --apply --author NAME" in out
    assert "left out of gpt-4.1: web_searches_kcount (not metered here)" in out
    code, _, err = prices(*typed, "--apply")
    assert (code, "--apply needs --author" in err) == (2, True)
    assert everything(stored) == []
    said = json.loads(prices(*typed, "--apply", "--author", "ada", "--json")[1])
    assert said["applied"]
    assert said["counts"] == {"new": len(everything(stored))}
    assert {each.author for each in everything(stored)} == {"ada"}
    assert {each.model for each in everything(stored)} == {"m"}


def test_import_compares_with_what_is_here(prices: Run, stored: Database) -> None:
    prices("set", "m", "--input", "2", "--output", "3")
    prices("set", "m", "--input", "9", "--above", "7")
    typed = ("import", "--provider", "openai", "--model", "gpt-4.1", "--as", "m")
    rows = json.loads(prices(*typed, "--json")[1])["prices"]
    standard = {
        (row["meter"], row["above_input_tokens"]): (row["change"], row["nano_per_million_now"])
        for row in rows
        if row["tier"] == "standard"
    }
    assert {row["tier"] for row in rows} == {"standard", "priority", "batch"}  # flex is not listed
    assert standard == {
        ("input_text", 0): ("same", 2 * 10**9),
        ("input_text", 7): ("only here", 9 * 10**9),
        ("input_cache_read", 0): ("new", None),
        ("output_text", 0): ("changed", 3 * 10**9),
    }
    _, out, _ = prices(*typed, "--apply", "--author", "ada")
    assert " stored." in out
    assert in_force(stored)["output_text>0"] == 8 * 10**9
    assert in_force(stored)["input_text>7"] == 9 * 10**9
    again = json.loads(prices(*typed, "--apply", "--author", "ada", "--json")[1])
    assert set(again["counts"]) == {"same", "only here"}


def test_import_takes_over_tiers_and_long_context_steps(prices: Run, stored: Database) -> None:
    typed = ("import", "--provider", "openai", "--model", "gpt-5.4", "--apply", "--author", "ada")
    assert prices(*typed)[0] == 0
    assert in_force(stored, "gpt-5.4")["input_text>272000"] == 5 * 10**9
    assert in_force(stored, "gpt-5.4", "flex")["output_text>0"] == 7_500_000_000
    assert in_force(stored, "gpt-5.4", "priority")["input_text>0"] == 5 * 10**9
    assert "input_text>272000" not in in_force(stored, "gpt-5.4", "priority")
    assert in_force(stored, "gpt-5.4", "batch")["input_cache_read>272000"] == 250_000_000


def test_import_leaves_out_what_it_cannot_say(prices: Run) -> None:
    _, out, _ = prices("import", "--provider", "deepseek")
    assert "its prices depend on the time of day" in out
    _, out, _ = prices("import", "--provider", "voyageai")
    assert "it lists no output_text" in out


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("--provider", "nobody"), "the list has no 'nobody'"),
        (("--model", "gpt-99"), "the list has no model 'gpt-99'."),
        (("--provider", "openai", "--model", "x"), "no model 'x' of 'openai'"),
        (("--model", "gpt-oss-120b"), "providers list 'gpt-oss-120b'"),
    ],
)
def test_import_of_what_is_not_there_or_not_clear(
    prices: Run, typed: tuple[str, ...], says: str
) -> None:
    code, out, err = prices("import", *typed)
    assert (code, out) == (1, "")
    assert says in err


def test_import_renames_one_model_only(prices: Run) -> None:
    code, _, err = prices("import", "--provider", "openai", "--as", "m")
    assert (code, "name it with --model" in err) == (2, True)


def test_import_without_the_extra_says_how_to_get_it(
    prices: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    code, out, err = prices("import", "--provider", "openai")
    assert (code, out) == (1, "")
    assert "pip install 'portico[prices]'" in err


def listing(**prices: Decimal | TieredPrices | None) -> ModelInfo:
    return ModelInfo(id="x", match=ClauseEquals(equals="x"), prices=ModelPrice(**prices))


def test_a_listed_price_that_cannot_be_kept_exactly_is_left_out(
    prices: Run, stored: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = listing(
        input_mtok=Decimal("0.15"),
        output_mtok=TieredPrices(Decimal("0.6"), [Tier(start=7, price=Decimal("1.2"))]),
        cache_read_mtok=Decimal("0.1234567891"),
        cache_write_mtok=None,
        input_audio_mtok=Decimal(2_000_000),
        requests_kcount=Decimal("1.5"),
    )
    provider = Provider(id="p", name="P", api_pattern="", models=[model])
    monkeypatch.setattr(price_seed, "_providers", lambda: [provider])
    _, out, _ = prices("import", "--provider", "p", "--apply", "--author", "ada")
    assert "cache_read_mtok (123456789.1" in out
    assert "input_audio_mtok (The price of input_audio is 2000000000000000" in out
    assert in_force(stored, "x") == {
        "input_text>0": 150_000_000,
        "output_text>0": 600_000_000,
        "output_text>7": 1_200_000_000,
        "request>0": 1_500_000_000_000,  # $1.50 for a thousand is $0.0015 for one
    }
    assert "$0.0015 each" in prices("list")[1]


# -- terms ----------------------------------------------------------------------------------------


def test_terms_are_shown_before_and_after_they_are_set(agreed: Run, stored: Database) -> None:
    assert "prepaid  the list price  -          -     -        never set" in agreed("show")[1]
    code, out, _ = agreed(
        *("set", "org_1", "--kind", "commit", "--discount", "contract=12.5%"),
        *("--discount", "contributor=1/5", "--consent", "2026-11", "--plan", "gold"),
        *("--author", "ada"),
    )
    assert code == 0
    assert "org_1: commit, pays 7/10 of the list price (contract -1/8, contributor -1/5)" in out
    (row,) = json.loads(agreed("show", "org_1", "--json")[1])["terms"]
    assert (row["share_numerator"], row["share_denominator"]) == (7, 10)
    assert (row["kind"], row["plan"], row["consent"], row["author"]) == (
        "commit",
        "gold",
        "2026-11",
        "ada",
    )
    (kept,) = stored.read(read_book).terms("org_1")
    assert kept.discounts == (Discount("contract", 7, 8), Discount("contributor", 4, 5))


def test_terms_from_a_day_on_stand_below_those_in_force(agreed: Run) -> None:
    agreed("set", "org_1", "--kind", "internal")
    later = ("set", "org_1", "--kind", "postpaid", "--from", "2099-01-01", "--json")
    assert json.loads(agreed(*later)[1])["kind"] == "postpaid"
    _, out, _ = agreed("show")
    assert ["internal  nothing" in line for line in out.splitlines()] == [False, True, False]
    assert out.rstrip().endswith("2099-01-01 00:00:00")
    rows = json.loads(agreed("show", "--json")[1])["terms"]
    assert [(row["when"], row["kind"]) for row in rows] == [
        ("now", "internal"),
        ("later", "postpaid"),
    ]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("org_x", "--kind", "prepaid"), "no organisation 'org_x'"),
        (("org_1", "--kind", "barter"), "barter"),
        (("org_1", "--kind", "prepaid", "--discount", "contract"), "is no discount"),
        (("org_1", "--kind", "prepaid", "--discount", "contract=1/0"), "is no discount"),
        (("org_1", "--kind", "prepaid", "--discount", "contract=0.2"), "is no discount"),
        (("org_1", "--kind", "prepaid", "--discount", "contract=101%"), "leaves -1/100"),
        (("org_1", "--kind", "prepaid", "--discount", "friend=10%"), "no discount 'friend'"),
        (("org_1", "--kind", "prepaid", "--discount", "contributor=20%"), "the consent"),
        (("org_1", "--kind", "prepaid", "--from", "2020-01-01"), "which is past"),
        (("org_1", "--kind", "prepaid", "--from", "soon"), "'soon' is no date"),
    ],
)
def test_terms_that_are_refused(
    agreed: Run, stored: Database, typed: tuple[str, ...], says: str
) -> None:
    code, _, err = agreed("set", *typed)
    assert code == 2
    assert says in err
    assert stored.read(read_book).size == (0, 0)


def test_terms_of_nobody(agreed: Run) -> None:
    code, out, err = agreed("show", "org_x")
    assert (code, out) == (1, "")
    assert "no organisation 'org_x'" in err


# -- beside a running server ----------------------------------------------------------------------


def test_a_price_is_set_while_another_process_reads(prices: Run, stored: Database) -> None:
    with stored.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT * FROM price").fetchall()
        assert prices("set", "m", "--input", "1", "--output", "2")[0] == 0
    assert len(everything(stored)) == 2


# -- what people type -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0.15", 150_000_000),
        ("$12", 12_000_000_000),
        ("0.000000001", 1),
        ("1.500000000000", 1_500_000_000),
        ("0", 0),
        ("007.10", 7_100_000_000),
        ("9007199254.740993", 9_007_199_254_740_993_000),  # a float would lose the last digit
    ],
)
def test_dollars_are_read_exactly(text: str, nano: int) -> None:
    assert words.scaled(text) == nano


def test_a_day_begins_at_midnight_utc() -> None:
    day_ms = datetime(2028, 2, 29, tzinfo=UTC).timestamp() * 1000
    assert words.moment_ms("2028-02-29") == day_ms
    assert words.moment_ms("2028-02-29T02:00:00+02:00") == day_ms
    with pytest.raises(words.Unreadable):
        words.moment_ms("2027-02-29")


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("contract=20%", (4, 5)),
        ("contract=12.5%", (7, 8)),
        ("contract=1/3", (2, 3)),
        ("contract=0%", (1, 1)),
        ("contract=100%", (0, 1)),
    ],
)
def test_discounts_are_read_exactly(typed: str, left: tuple[int, int]) -> None:
    assert words.discount(typed) == Discount("contract", *left)
