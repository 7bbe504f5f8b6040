"""`portico invoice`, run: what it says, what it writes, its exit codes."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine

from portico.cli.money.invoices.commands import app
from tests.billing.invoices.shop import DOLLAR, Shop, ms
from tests.db.databases import new_sqlite

Run = Callable[..., tuple[int, str, str]]
MARCH = "2026-03-01T08:00:00Z"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("PORTICO_INVOICES_SELLER_NAME", "Portico Models GmbH")
    monkeypatch.setenv("PORTICO_INVOICES_SELLER_COUNTRY", "DE")
    made = Shop(new_sqlite(tmp_path), now_ms=ms("2026-02-03"))
    made.may_owe(100 * DOLLAR)
    made.uses({"input_text": 1_000_000, "output_text": 2_000_000})
    return made


@pytest.fixture
def run(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*typed: str, now: str = MARCH) -> tuple[int, str, str]:
        with time_machine.travel(now, tick=False), pytest.raises(SystemExit) as ended:
            app([*typed, "--data-dir", str(tmp_path)])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def ready(run: Run) -> Run:
    run("tax-rate", "de", "19%")
    run("customer", "org_1", "--name", "Kundin AG", "--country", "de", "--mail", "a@b.example")
    assert run("make", "org_1", "--month", "2026-02")[1] == "INV-2026-000001: $7.14 to be paid.\n"
    return run


def test_a_month_is_invoiced_once(ready: Run) -> None:
    code, out, _ = ready("make", "org_1", "--month", "2026-02")
    assert (code, out) == (0, "INV-2026-000001 was made before; nothing changed.\n")
    said = json.loads(ready("make", "org_1", "--month", "2026-02", "--json")[1])
    assert (said["number"], said["new"]) == ("INV-2026-000001", False)


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        (("make", "org_1", "--month", "2026-2x"), 2, "'2026-2x' is no month"),
        (("make", "org_1", "--month", "2026-03"), 1, "2026-03 is not over yet"),
        (("make", "org_9", "--month", "2026-02"), 1, "no organisation 'org_9'"),
        (("make", "org_1", "--month", "2026-02"), 1, "no tax rate of DE"),
        (("show", "INV-1"), 1, "no invoice or credit note 'INV-1'"),
        (("pdf", "INV-1", "-o", "x.pdf"), 1, "no invoice or credit note 'INV-1'"),
        (("pay", "INV-1", "--usd", "1", "--reference", "r"), 1, "Nothing was booked"),
        (("pay", "INV-1", "--usd", "1.001", "--reference", "r"), 2, "2 can be kept"),
        (("credit-note", "INV-1", "--line", "x", "--reason", "r"), 2, "'x' is no line"),
        (("credit-note", "INV-1", "--line", "1=abc", "--reason", "r"), 2, "'abc' is no amount"),
        (("credit-note", "INV-1", "--line", "1", "--reason", "r"), 1, "Nothing was credited"),
        (("customer", "org_1", "--name", "N", "--country", "Germany"), 2, "two letters"),
        (("customer", "org_1", "--name", "N", "--country", "DE", "--vat-id", "1"), 2, "no VAT id"),
        (("customer", "org_1", "--name", "N\x1b[2J"), 2, "U+001B"),
        (("customer", "org_1", "--name", "N", "--mail", "a@b\nBcc: c@d"), 2, "U+000A"),
        (("customer", "org_1", "--name", "N", "--mail", "a@b, c@d"), 2, "no mail address"),
        (("credit-note", "INV-1", "--line", "1", "--reason", "\u202edray"), 2, "U+202E"),
        (("credit-note", "INV-1", "--line", "1", "--reason", "x" * 501), 2, "501 characters"),
        (("tax-rate", "DE"), 2, "is no tax rate"),
        (("tax-rate", "DE", "19.999"), 2, "is no tax rate"),
        (("tax-rate", "DE", "101"), 2, "between 0 and 100"),
        (("tax-rate", "DE", "19", "--from", "soon"), 2, "'soon' is no date"),
    ],
)
def test_what_is_wrong_is_said(run: Run, typed: tuple[str, ...], code: int, says: str) -> None:
    found, out, err = run(*typed)
    assert (found, out) == (code, "")
    assert says in err


def test_settings_that_contradict_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_INVOICES_CREDIT_NOTE_PREFIX", "INV-")
    code, _, err = run("make", "org_1", "--month", "2026-02")
    assert (code, "prefixes that differ" in err) == (2, True)
    monkeypatch.setenv("PORTICO_DUNNING_READ_ONLY_DAY", "90")
    code, _, err = run("remind")
    assert (code, "must rise" in err) == (2, True)


def test_a_preview_and_a_part_of_a_month(run: Run) -> None:
    run("tax-rate", "DE", "19")
    february = "2026-02-20T00:00:00Z"
    typed = ("make", "org_1", "--month", "2026-02", "--so-far")
    shown = run(*typed, "--preview", now=february)[1]
    assert shown.startswith("Preview of 2026-02-20 for org_1 Ltd, 2026-02-01T00:00:00Z up to")
    assert "to be paid" in shown
    assert json.loads(run(*typed, "--preview", "--json", now=february)[1])["number"] == ""
    assert json.loads(run("list", "--json")[1]) == {"documents": []}
    assert run(*typed, now=february)[1] == "INV-2026-000001: $7.14 to be paid.\n"


def test_show_and_list(ready: Run) -> None:
    out = ready("show", "INV-2026-000001")[1]
    assert "Invoice INV-2026-000001 of 2026-03-01 for Kundin AG" in out
    assert "output_text  2000000        $2.00   $4.00" in out
    text = ready("show", "INV-2026-000001", "--json")[1].removesuffix("\n")
    assert f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}" in out
    (row,) = json.loads(ready("list", "--json")[1])["documents"]
    assert (row["number"], row["to_be_paid_cents"]) == ("INV-2026-000001", "714")
    assert ready("list")[1].splitlines()[1].split()[-2:] == ["$7.14", "$7.14"]
    assert json.loads(ready("list", "--organisation", "org_2", "--json")[1])["documents"] == []


def test_the_pdf_is_written(ready: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "invoice.pdf"
    code, out, err = ready("pdf", "INV-2026-000001", "-o", str(file))
    first = file.read_bytes()
    assert (code, err, first[:5]) == (0, "", b"%PDF-")
    assert f"INV-2026-000001, {len(first)} bytes" in out
    ready("pdf", "INV-2026-000001", "-o", str(file), now="2031-01-01")
    assert file.read_bytes() == first
    code, _, err = ready("pdf", "INV-2026-000001", "-o", str(tmp_path / "no" / "folder.pdf"))
    assert (code, "No such file" in err) == (1, True)
    monkeypatch.setenv("PORTICO_INVOICES_FONT_FILE", str(file))
    code, _, err = ready("pdf", "INV-2026-000001", "-o", str(file))
    assert (code, "takes a TrueType font" in err) == (2, True)


def test_letters_that_are_missing_are_told(run: Run, tmp_path: Path) -> None:
    run("tax-rate", "DE", "19")
    run("customer", "org_1", "--name", "株式会社")
    run("make", "org_1", "--month", "2026-02")
    _, _, err = run("pdf", "INV-2026-000001", "-o", str(tmp_path / "i.pdf"))
    assert "The font lacks 会 式 株 社" in err


def test_credit_and_pay(ready: Run, shop: Shop) -> None:
    typed = (
        "credit-note",
        "INV-2026-000001",
        "--line",
        "1",
        "--line",
        "2=0.50",
        "--reason",
        "slow",
    )
    assert ready(*typed)[1] == (
        "CN-2026-000001: $2.98 less to be paid for INV-2026-000001, $0.00 given as credit.\n"
    )
    assert "about INV-2026-000001: slow" in ready("show", "CN-2026-000001")[1]
    pay = ("pay", "INV-2026-000001", "--usd", "4.16", "--reference", "bank 7")
    assert ready(*pay)[1] == "INV-2026-000001: $4.16 booked, $0.00 to be paid.\n"
    assert ready(*pay)[1] == "bank 7 was booked before; nothing changed.\n"
    again = json.loads(ready(*pay, "--json")[1])
    assert again == {"booked": False, "to_be_paid_cents": "0"}
    listed = ready("list")[1].splitlines()
    assert [line.split()[-1] for line in listed[1:]] == ["$0.00", "-"]
    assert shop.posted("receivable:org_1") == 0


def test_tax_rates_are_listed_and_not_changed(run: Run) -> None:
    out = run("tax-rate", "DE", "19")[1]
    assert out.splitlines()[1].split() == ["DE", "standard", "always", "19.00"]
    code, _, err = run("tax-rate", "DE", "7")
    assert (code, "already" in err) == (1, True)
    run("tax-rate", "DE", "8.1", "--from", "2027-01-01", "--kind", "reduced")
    found = json.loads(run("tax-rate", "--json")[1])["tax_rates"]
    assert [(rate["kind"], rate["basis_points"]) for rate in found] == [
        ("reduced", 810),
        ("standard", 1900),
    ]


def test_remind_takes_the_steps_that_are_due(ready: Run) -> None:
    assert ready("remind")[1] == "Nothing is due to be done.\n"
    (notice,) = json.loads(ready("remind", "--json", now="2026-03-16")[1])["notices"]
    assert (notice["kind"], notice["recipient"]) == ("notice_1", "a@b.example")
    assert "org_1: notice_2 about inv_" in ready("remind", now="2026-03-20")[1]
