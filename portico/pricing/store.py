"""Rows of prices, terms and charges, on a connection inside the caller's transaction."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, exists, func, insert, select

from portico.db.tables import charge, organisation, price, project, terms
from portico.pricing.book import Book
from portico.pricing.model import Discount, Line, Price, Terms

_CHARGES_AT_ONCE = 1_000
_DISCOUNTS = msgspec.json.Decoder(tuple[Discount, ...])
_LINES = msgspec.json.Decoder(tuple[Line, ...])


class StoredCharge(msgspec.Struct, frozen=True):
    """What was charged for a request, and the share of its terms.

    net_nano: as it was rated, what the operator absorbed included.
    """

    request_id: str
    lines: tuple[Line, ...]
    list_nano: int
    net_nano: int
    share_numerator: int
    share_denominator: int


def book(connection: Connection) -> Book:
    return Book(
        (Price(**row._mapping) for row in connection.execute(select(price))),
        (_terms(row) for row in connection.execute(select(terms))),
    )


def size(connection: Connection) -> tuple[int, int]:
    """How many prices and how many terms there are."""
    counts = select(
        select(func.count()).select_from(price).scalar_subquery(),
        select(func.count()).select_from(terms).scalar_subquery(),
    )
    prices, agreed = connection.execute(counts).one()
    return prices, agreed


def add_prices(connection: Connection, prices: Sequence[Price]) -> None:
    connection.execute(insert(price), [msgspec.structs.asdict(each) for each in prices])


def has_price(connection: Connection, wanted: Price) -> bool:
    """One for the same things from the same moment on."""
    same = [
        price.c[name] == getattr(wanted, name)
        for name in ("model", "meter", "tier", "plan", "above_input_tokens", "effective_from_ms")
    ]
    return bool(connection.execute(select(exists().where(*same))).scalar_one())


def has_base(connection: Connection, step: Price) -> bool:
    """A price from 0 on that counts when `step` begins to."""
    same = [price.c[name] == getattr(step, name) for name in ("model", "meter", "tier", "plan")]
    base = (price.c.above_input_tokens == 0) & (price.c.effective_from_ms <= step.effective_from_ms)
    return bool(connection.execute(select(exists().where(*same, base))).scalar_one())


def add_terms(connection: Connection, agreed: Terms) -> None:
    row = {**msgspec.structs.asdict(agreed), "discounts": _text(agreed.discounts)}
    connection.execute(insert(terms), row)


def agreed(connection: Connection, organisation_id: str) -> list[Terms]:
    """All that were ever stored for it, by the day from which they count."""
    query = select(terms).where(terms.c.organisation_id == organisation_id)
    found = connection.execute(query.order_by(terms.c.effective_from_ms))
    return [_terms(row) for row in found]


def whose_terms(connection: Connection, organisation_id: str | None, terms_id: str) -> str | None:
    """organisation_id: whose they must be; None: anybody's."""
    query = select(terms.c.organisation_id).where(terms.c.id == terms_id)
    if organisation_id is not None:
        query = query.where(terms.c.organisation_id == organisation_id)
    return connection.execute(query).scalar_one_or_none()


def has_terms(connection: Connection, organisation_id: str, effective_from_ms: int) -> bool:
    same = (terms.c.organisation_id == organisation_id) & (
        terms.c.effective_from_ms == effective_from_ms
    )
    return bool(connection.execute(select(exists().where(same))).scalar_one())


def consented_since(connection: Connection, organisation_id: str, now_ms: int) -> list[Terms]:
    """Terms of an organisation that count now or later, with a consent to the use of its data."""
    c = terms.c
    current = (
        select(func.max(c.effective_from_ms))
        .where(c.organisation_id == organisation_id, c.effective_from_ms <= now_ms)
        .scalar_subquery()
    )
    found = connection.execute(
        select(terms)
        .where(c.organisation_id == organisation_id, c.consent != "")
        .where(c.effective_from_ms >= func.coalesce(current, now_ms))
        .order_by(c.effective_from_ms)
    )
    return [_terms(row) for row in found]


def keeps_nothing(connection: Connection, organisation_id: str) -> list[str]:
    """Its projects under zero retention."""
    c = project.c
    found = connection.execute(
        select(c.id).where(
            c.organisation_id == organisation_id,
            c.retention == "zero",
            c.archived_at_ms.is_(None),
        )
    )
    return list(found.scalars())


def organisations(connection: Connection) -> dict[str, str]:
    """Names by id, oldest first."""
    c = organisation.c
    rows = connection.execute(select(c.id, c.name).order_by(c.created_at_ms, c.id))
    return {row.id: row.name for row in rows}


def charges(
    connection: Connection, organisation_id: str | None, since_ms: int, until_ms: int
) -> Iterator[StoredCharge]:
    """Those of a stretch of time (wall clock, the end not included), in the order of their ids.

    organisation_id: None for all.  Read a piece at a time: a month may have millions.
    """
    last_id = ""
    while True:
        query = _charges(organisation_id, since_ms, until_ms).where(charge.c.id > last_id)
        rows = connection.execute(query.order_by(charge.c.id).limit(_CHARGES_AT_ONCE)).all()
        for row in rows:
            yield _stored(row)
        if len(rows) < _CHARGES_AT_ONCE:
            return
        last_id = rows[-1].id


def _charges(organisation_id: str | None, since_ms: int, until_ms: int) -> Select[Any]:
    c = charge.c
    share = (terms.c.share_numerator, terms.c.share_denominator)
    query = (
        select(c.id, c.lines, c.list_nano, c.net_nano, c.absorbed_nano, *share)
        .join_from(charge, terms, terms.c.id == c.terms_id, isouter=True)
        .where(c.charged_at_ms >= since_ms, c.charged_at_ms < until_ms)
    )
    return query if organisation_id is None else query.where(c.organisation_id == organisation_id)


def _stored(row: Row[Any]) -> StoredCharge:
    """An organisation without terms pays the whole list price."""
    return StoredCharge(
        row.id,
        _LINES.decode(row.lines),
        row.list_nano,
        row.net_nano + row.absorbed_nano,
        1 if row.share_numerator is None else row.share_numerator,
        row.share_denominator or 1,
    )


def _terms(row: Row[Any]) -> Terms:
    return Terms(**{**row._mapping, "discounts": _DISCOUNTS.decode(row.discounts)})


def _text(discounts: Sequence[Discount]) -> str:
    return msgspec.json.encode(discounts).decode()
