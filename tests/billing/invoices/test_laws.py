"""Whatever is used, invoiced, credited and paid: the lines are the ledger's, to the nano, and every
receipt is on exactly one invoice."""

import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from portico.billing.invoices.check import invoice_differences
from portico.billing.invoices.model import CENT_NANO, NotInvoiced, Stored
from portico.db.database import open_database
from portico.db.tables import organisation
from portico.ledger import service as ledger
from portico.ledger.model import Held
from tests.billing.invoices.shop import DAY_MS, Shop, ms

MONTHS = ("2026-01", "2026-02", "2026-03")
LATER = {"2026-01": "2026-02-01", "2026-02": "2026-03-01", "2026-03": "2026-04-01"}
_owners = itertools.count(1)


@dataclass(frozen=True)
class Use:
    day: int
    model: str
    tier: str
    units: dict[str, int]
    price: int
    share: tuple[int, int]
    held_percent: int


uses = st.builds(
    Use,
    st.integers(0, 27),
    st.sampled_from(["small", "large"]),
    st.sampled_from(["standard", "batch"]),
    st.dictionaries(
        st.sampled_from(["input_text", "input_cache_read", "output_text"]),
        st.integers(0, 3_000_000),
        min_size=1,
    ),
    st.sampled_from([1, 37_500_000, 2_000_000_000]),
    st.sampled_from([(1, 1), (7, 8)]),
    st.sampled_from([100, 100, 100, 40]),
)
months = st.lists(uses, max_size=6)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(open_database(Path(tmp_path_factory.mktemp("laws"))), "org_0")
    made.taxes("DE", 1900)
    made.taxes("DE", 700, "2026-02-14")
    return made


def newcomer(shop: Shop) -> str:
    """One database for all examples: an organisation each."""
    owner = f"org_x{next(_owners)}"
    row = {"id": owner, "name": owner, "created_at_ms": 1}
    shop.do(lambda t: t.connection.execute(insert(organisation).values(**row)))
    shop.may_owe(2**60, owner)
    return owner


def spend(shop: Shop, owner: str, month: str, wanted: list[Use]) -> None:
    for use in sorted(wanted, key=lambda each: each.day):
        shop.now_ms = ms(f"{month}-01") + use.day * DAY_MS
        cost = sum(count * use.price // 1_000_000 for count in use.units.values())
        shop.uses(
            use.units,
            owner,
            use.model,
            use.tier,
            use.price,
            use.share,
            hold_nano=max(1, (cost + 9) * use.held_percent // 100),
        )


def try_invoice(shop: Shop, owner: str, month: str) -> list[Stored]:
    shop.now_ms = ms(LATER[month])
    try:
        return [shop.invoice(month, owner)]
    except NotInvoiced:
        return []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(months, min_size=3, max_size=3),
    st.integers(0, 4_000_000_000),
    st.integers(0, 4_000_000_000),
    st.data(),
)
def test_lines_are_the_ledger(
    shared: Shop, used: list[list[Use]], promo: int, paid: int, data: st.DataObject
) -> None:
    owner = newcomer(shared)
    for nano, kind in ((promo, "promo"), (paid, "paid")):
        if nano:
            shared.gets(nano, kind, owner)
    made: list[Stored] = []
    for month, wanted in zip(MONTHS, used, strict=True):
        spend(shared, owner, month, wanted)
        for invoice in try_invoice(shared, owner, month):
            made.append(invoice)
            interfere(shared, invoice, data)
    charged = shared.rows(
        f"SELECT sequence, net_nano FROM charge WHERE organisation_id = '{owner}'"
    )
    covered = Counter(
        place
        for each in made
        for place in range(each.invoice.receipts[0], each.invoice.receipts[1] + 1)
    )
    assert covered == Counter(sequence for sequence, _ in charged)
    lines_nano = sum(line.net_nano for each in made for line in each.invoice.lines)
    assert lines_nano == sum(net for _, net in charged)
    for each in made:
        assert_taxed(each)


def interfere(shop: Shop, invoice: Stored, data: st.DataObject) -> None:
    """Credit and pay some of it, in any order."""
    for step in data.draw(st.lists(st.sampled_from(["credit", "pay"]), max_size=3)):
        if step == "credit":
            line = data.draw(st.sampled_from(invoice.invoice.lines))
            nano = data.draw(st.integers(1, max(1, line.net_nano)) | st.none())
            with suppress(NotInvoiced):  # more than is left of the line
                shop.credits(invoice, {line.line: nano})
        elif open_cents := shop.outstanding(invoice):
            cents = data.draw(st.integers(1, open_cents))
            shop.pays(invoice, cents, f"{invoice.id} {cents} {open_cents}")


def assert_taxed(stored: Stored) -> None:
    for tax in stored.invoice.taxes:
        exact = Fraction(tax.base_nano * tax.basis_points, 10_000 * CENT_NANO)
        assert abs(exact - tax.tax_cents) <= Fraction(1, 2)
        under = [e for e in stored.invoice.lines if e.tax_basis_points == tax.basis_points]
        assert sum(line.net_nano for line in under) == tax.net_nano


@settings(max_examples=30, deadline=None)
@given(st.lists(uses, min_size=1, max_size=4), st.integers(0, 3_000_000_000), st.data())
def test_taking_everything_back_leaves_nothing(
    shared: Shop, used: list[Use], prepaid: int, data: st.DataObject
) -> None:
    """However it is cut into notes, paid for or not: no line, no tax, nothing to pay is left, and
    the customer has everything that was paid, to the nano but for what rounding carries."""
    owner = newcomer(shared)
    if prepaid:
        shared.gets(prepaid, "paid", owner)
    spend(shared, owner, "2026-01", used)
    for stored in try_invoice(shared, owner, "2026-01"):
        document = stored.invoice
        paid_cents = (stored.due_cents + stored.tax_cents) * data.draw(st.integers(0, 1))
        if paid_cents:
            shared.pays(stored, paid_cents, stored.id)
        credited = []
        for line in document.lines:
            first = data.draw(st.integers(0, line.net_nano))
            for nano in (first, line.net_nano - first):
                if nano:
                    credited.append(shared.credits(stored, {line.line: nano}).credit_note)
        assert sum(note.net_nano for note in credited) == document.net_nano
        cents = sum(tax.tax_cents for note in credited for tax in note.taxes)
        assert cents == (stored.tax_cents if credited else 0)
        if credited:
            assert shared.outstanding(stored) == 0
        has = shared.posted(f"prepaid:{owner}") + shared.posted(f"receivable:{owner}")
        assert has == prepaid + paid_cents * CENT_NANO
        assert shared.posted(f"tax_due:{owner}") == 0


def test_all_of_it_together_is_right(shared: Shop) -> None:
    """The invoices of all examples above, as the audit looks at them."""
    found = shared.do(lambda t: list(invoice_differences(t)))
    assert [name for name, ok in found if not ok] == []


def test_what_can_be_spent_is_what_the_ledger_says(shared: Shop) -> None:
    """Tax that is owed is nobody's funds."""
    owner = newcomer(shared)
    shared.may_owe(10**9, owner)
    shared.now_ms = ms("2026-01-05")
    shared.uses({"input_text": 250_000}, owner)
    shared.now_ms = ms("2026-02-01")
    shared.invoice("2026-01", owner)
    kinds = {each.kind for each in shared.do(lambda t: ledger.accounts_of(t, owner))}
    assert "tax_payable" in kinds
    assert not isinstance(shared.hold(500_000_001, owner), Held)
    assert isinstance(shared.hold(500_000_000, owner), Held)
