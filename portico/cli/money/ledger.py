"""`portico ledger`: whether the books are right, and what was charged."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from portico.admission.rules import dollars
from portico.billing.audit import Verdict, audit
from portico.billing.auditing import runs
from portico.billing.exports import service
from portico.billing.exports.parquet import ExtraMissing
from portico.billing.payments.model import BalanceLine, ProviderRefused, ProviderUnavailable
from portico.billing.proofs.documents import (
    Document,
    NotGenuine,
    UnknownReceipt,
    check_file,
    document_of,
    sign_file,
)
from portico.billing.proofs.heads import opened_keys, sign_heads
from portico.billing.proofs.keys import KeysLost, SigningKey, read_keys
from portico.billing.proofs.model import Signed, Statement
from portico.billing.proofs.verify import Problem, Proof, verify
from portico.cli.output import Exit, console, errors, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment, moment_ms
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.ledger.receipts import FOREVER_MS, Receipt, Span
from portico.pricing.model import Line
from portico.settings import Settings

app = App(name="ledger", help="Audit, verify, sign and export what was charged.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_PATIENCE_S = 1.0


@app.command(name="audit")
def audit_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Check every invariant of the books on the rows themselves.  Exit code 0 only when nothing is wrong.

    Works beside a running server, which does so, too: `portico ledger audits` lists what it found.
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    database = database_of(settings)
    lines = _provider_lines(settings, database)
    now_ms = SystemClock().wall_ms()
    verdicts = database.read(lambda c: audit(Transaction(c), now_ms, lines))
    wrong = sum(verdict.violations for verdict in verdicts)
    if json:
        say_json({"ok": not wrong, "invariants": [asdict(verdict) for verdict in verdicts]})
    else:
        _show(verdicts)
    sys.exit(Exit.FAILED if wrong else Exit.OK)


@app.command
def audits(
    *,
    most: Annotated[int, Parameter(help="The newest so many.")] = 20,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The newest audits that a running server made."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda c: runs(Transaction(c), most))
    if json:
        say_json({"audits": [asdict(each) for each in found]})
        return
    say_table(
        ("at (UTC)", "id", "by", "ms", "violations"),
        [
            (moment(run.started_at_ms), run.id, run.owner, run.duration_ms, run.violations)
            for run in found
        ],
        numbers=2,
    )


@app.command(name="verify")
def verify_all(
    *,
    heads: Annotated[
        Path | None,
        Parameter(help="What `portico ledger sign --json` printed earlier, kept elsewhere."),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Compute the whole bill again: links, ratings, postings, balances, signatures.

    Exit code 0 only when all is right; else it names the first receipt that is not.
    Works beside a running server.
    """
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    kept = [] if heads is None else _kept_heads(heads)
    try:
        keys = read_keys(database.data_dir)
    except KeysLost as error:
        stop(Exit.DATA, str(error))
    progress = _Progress()
    proof = database.read(lambda c: verify(Transaction(c), keys, kept, progress.say))
    if json:
        say_json({"ok": proof.ok, **asdict(proof)})
    else:
        _show_proof(proof)
    sys.exit(Exit.OK if proof.ok else Exit.FAILED)


@app.command
def sign(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Sign where each organisation's chain of receipts ends now; a running server does so hourly.

    Keep what --json prints somewhere else: `portico ledger verify --heads FILE` then shows that
    nothing before it was changed since, not even by whoever has database and key.
    """
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    done = sign_heads(database, _signing_key(database), SystemClock().wall_ms())
    if json:
        say_json({"heads": done.signed, "broken": done.broken})
    else:
        console.print(f"{len(done.signed)} heads signed.", markup=False)
    if done.broken:
        stop(
            Exit.FAILED,
            f"not signed, because their chain is broken: {', '.join(done.broken)}.",
            fix="`portico ledger verify` says where.",
        )


@app.command
def receipt(request_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """One request's receipt: what was used, at which prices, and its place in the chain, signed.

    Example: `portico ledger receipt req_... --json > receipt.json`
    """
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    key, now_ms = _signing_key(database), SystemClock().wall_ms()
    try:
        found, document = database.read(
            lambda c: document_of(Transaction(c), request_id, key, now_ms)
        )
    except (UnknownReceipt, NotGenuine) as error:
        stop(Exit.FAILED, str(error))
    if json:
        say_json(document)
        return
    _show_receipt(found, document)


@app.command
def check(
    file: Path,
    /,
    *,
    key: Annotated[
        str | None, Parameter(help="Id of the key to trust; without it, those of --data-dir.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Check a signed receipt, or an export with its `.sig` beside it.  Exit code 0 only when it is genuine.

    Needs no database where --key is given: a reader of the file can do it, too.
    """
    trusted = {key} if key else {each.id for each in _trusted(data_dir)}
    try:
        said = check_file(file, trusted)
    except NotGenuine as error:
        stop(Exit.FAILED, str(error))
    except OSError as error:
        stop(Exit.USAGE, f"{file}: {error.strerror}.")
    if json:
        say_json(said)
        return
    console.print(f"{file}: genuine. {_meaning(said)}", markup=False)


@app.command(name="key")
def show_key(*, data_dir: DataDir = None, json: Json = False) -> None:
    """The public keys that receipts are signed with; publish the ids.  The last one signs."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    _signing_key(database)
    keys = [
        {"id": each.id, "public_key": each.public.hex()} for each in read_keys(database.data_dir)
    ]
    if json:
        say_json({"keys": keys})
        return
    say_table(("id", "Ed25519 public key"), [(each["id"], each["public_key"]) for each in keys])


@app.command
def export(
    *,
    format: Annotated[
        service.Format,
        Parameter(
            help="One JSON object a line; one row a line; columns (needs -o and the extra `export`); "
            "or one row per meter line in the columns of FOCUS 1.2, as CSV."
        ),
    ] = "jsonl",
    output: Annotated[
        Path | None, Parameter(name=("--output", "-o"), help="File; standard output if left out.")
    ] = None,
    organisation: Annotated[str | None, Parameter(help="Only this one's.")] = None,
    from_: Annotated[str | None, Parameter(name="--from", help="From this day on (UTC).")] = None,
    to: Annotated[str | None, Parameter(help="Up to this day, it not included (UTC).")] = None,
    seller: Annotated[
        str | None,
        Parameter(help="Who sells, as FOCUS names it; invoices.seller_name if left out."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write out every charge with its lines, in the order of its chain of receipts.

    A file is signed: FILE.sig beside it, for `portico ledger check FILE`.

    Example: `portico ledger export --format csv --from 2026-11-01 -o november.csv`
    """
    try:
        span = Span(
            organisation,
            -FOREVER_MS if from_ is None else moment_ms(from_),
            FOREVER_MS if to is None else moment_ms(to),
        )
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    settings = settings_for(None, server={"data_dir": data_dir})
    database = database_of(settings)
    named = seller or settings.invoices.seller_name or "Portico"
    if output is not None:
        _export_file(database, format, span, output, named)
        return
    if format == "parquet":
        stop(Exit.USAGE, "Parquet is not for a screen.", fix="Name a file with -o.")
    text: service.TextFormat = format
    database.read(lambda c: service.write_text(Transaction(c), text, span, sys.stdout, named))


def _export_file(
    database: Database, format: service.Format, span: Span, path: Path, seller: str
) -> None:
    try:
        written = database.read(
            lambda c: service.write_file(Transaction(c), format, span, path, seller)
        )
        key, now_ms = _signing_key(database), SystemClock().wall_ms()
        beside, _ = sign_file(path, span.organisation_id or "", written, key, now_ms)
    except ExtraMissing as error:
        stop(Exit.USAGE, str(error))
    except OSError as error:
        stop(Exit.FAILED, f"{path}: {error.strerror}.")
    console.print(f"{path}: {written} rows, signed in {beside.name}.", markup=False)


def _provider_lines(settings: Settings, database: Database) -> Sequence[BalanceLine] | None:
    if not settings.stripe.secret_key:
        return None
    # Here, because it brings the server's rooms along, and only this needs them.
    from portico.app import CannotStart  # noqa: PLC0415 - see above
    from portico.app.watching import ask_provider  # noqa: PLC0415 - see above

    try:
        ask = ask_provider(settings, database, SystemClock())
        return None if ask is None else ask()
    except CannotStart as error:
        stop(Exit.USAGE, error.says)
    except (ProviderUnavailable, ProviderRefused) as error:
        stop(Exit.FAILED, f"the payment provider did not answer: {error}")


class _Progress:
    """On standard error, once a second has gone by; then less and less often."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._started_s = self._clock.monotonic_s()
        self._wait_s = _PATIENCE_S
        self._next_s = self._started_s + self._wait_s

    def say(self, receipts: int) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        errors.print(f"{receipts} receipts in {now_s - self._started_s:.0f} s ...", markup=False)
        self._wait_s = min(2 * self._wait_s, 30.0)
        self._next_s = now_s + self._wait_s


def _signing_key(database: Database) -> SigningKey:
    try:
        return opened_keys(database)[-1]
    except (KeysLost, OSError) as error:
        stop(Exit.DATA, str(error))


def _trusted(data_dir: str | None) -> tuple[SigningKey, ...]:
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    try:
        found = read_keys(database.data_dir)
    except KeysLost as error:
        stop(Exit.DATA, str(error))
    if not found:
        stop(Exit.DATA, "nothing was ever signed here.", fix="Name the key to trust with --key.")
    return found


class _SavedHeads(msgspec.Struct):
    heads: tuple[Signed, ...]


def _kept_heads(path: Path) -> tuple[Signed, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_SavedHeads).heads
    except OSError as error:
        stop(Exit.USAGE, f"{path}: {error.strerror}.")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        stop(Exit.USAGE, f"{path} is not what `portico ledger sign --json` prints: {error}.")


def _show(verdicts: list[Verdict]) -> None:
    say_table(
        ("", "what must hold", "examples", "checked", "violations"),
        [(v.id, v.says, ", ".join(v.examples) or "-", v.checked, v.violations) for v in verdicts],
        numbers=2,
    )
    for verdict in verdicts:
        if verdict.open:
            console.print(f"{verdict.id}: {verdict.open}.", markup=False)


def _show_proof(proof: Proof) -> None:
    console.print(
        f"{proof.receipts} receipts in {proof.organisations} chains, {proof.accounts} balances, "
        f"{proof.signed} signed heads; {proof.unsigned} receipts are newer than those.",
        markup=False,
    )
    if proof.ok:
        console.print("All is right: every receipt follows from its rows.", markup=False)
        return
    console.print(f"First broken: {_place(proof.problems[0])}", markup=False)
    for problem in proof.problems[1:]:
        console.print(f"      further: {_place(problem)}", markup=False)
    if proof.wrong > len(proof.problems):
        console.print(f"      further: {proof.wrong - len(proof.problems)} more.", markup=False)


def _place(problem: Problem) -> str:
    number = "" if problem.sequence is None else f" number {problem.sequence}"
    place = " ".join(
        part for part in (problem.organisation_id + number, problem.request_id) if part
    )
    return f"{place}: {problem.says}." if place else f"{problem.says}."


def _show_receipt(receipt: Receipt, document: Document) -> None:
    lines = msgspec.json.decode(receipt.lines, type=tuple[Line, ...])
    console.print(
        f"{receipt.request_id}  {moment(receipt.charged_at_ms)} UTC  {receipt.outcome}\n"
        f"{receipt.model} ({receipt.tier}), organisation {receipt.organisation_id}, "
        f"project {receipt.project_id}, key {receipt.key_id}\n",
        markup=False,
    )
    say_table(
        ("meter", "price", "units", "nano-USD per million", "list nano-USD", "net nano-USD"),
        [
            (each.meter, each.price_id, each.units, each.nano_per_million, each.list_nano,
             each.net_nano)
            for each in lines
        ],
        numbers=4,
    )  # fmt: skip
    less = ", ".join(f"{d.kind} x {d.numerator}/{d.denominator}" for d in document.discounts)
    console.print(
        f"\ndiscounts  {less or 'none'}\n"
        f"total      {receipt.net_nano} nano-USD ({dollars(int(receipt.net_nano))}); "
        f"{receipt.absorbed_nano} above the hold, not charged\n"
        f"chain      number {receipt.sequence} of {receipt.organisation_id}\n"
        f"previous   {document.previous_hash}\n"
        f"hash       {document.hash}\n"
        f"signature  {document.signed.signature}\n"
        f"key        {document.signed.statement.key_id}",
        markup=False,
    )


def _meaning(said: Statement) -> str:
    when = f"signed {moment(said.signed_at_ms)} UTC by {said.key_id}"
    if said.kind == "receipt":
        return f"Receipt number {said.sequence} of {said.organisation_id}, {when}."
    return f"Export of {said.sequence} rows, {when}."
