"""Terms: how organisations pay."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from portico.accounts.catalogue import terms
from portico.accounts.catalogue.terms import Agreed
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, Moment, moment_ms, page_of_all
from portico.admin.tenants.organisations import organisation_id_of
from portico.pricing.model import Discount, Terms, TermsKind, TermsWish

_DISCOUNTS_MAX = 10
Part = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class NewDiscount(Struct):
    """What remains of the price is numerator / denominator of it: 4 / 5 for 20 % off."""

    kind: Literal["contract", "contributor"]
    numerator: Part
    denominator: Part


class NewTerms(Struct):
    """All of it anew: a discount that is left out is gone.

    plan: prices of this plan come before general ones.  consent: version of the data-sharing consent
    behind a contributor discount.  effective_from: left out for now."""

    organisation_id: str
    kind: TermsKind
    plan: str = ""
    discounts: Annotated[list[NewDiscount], Meta(max_length=_DISCOUNTS_MAX)] = []
    consent: str = ""
    effective_from: Moment | None = None


TERMS = Shape("terms", Terms, more={"in_force": bool})


def _told(found: Agreed) -> Told:
    return TERMS.told(found.terms, in_force=found.in_force)


def _list(ask: Ask) -> Told:
    return page_of_all(ask, terms.list_terms(ask.errand, organisation_id_of(ask)), _told)


def _one(ask: Ask) -> Told:
    return _told(terms.terms_of(ask.errand, ask.id))


def _set(ask: Ask) -> Told:
    new: NewTerms = ask.body
    wish = TermsWish(
        organisation_id=new.organisation_id,
        kind=new.kind,
        plan=new.plan,
        discounts=tuple(
            Discount(each.kind, each.numerator, each.denominator) for each in new.discounts
        ),
        consent=new.consent,
        effective_from_ms=moment_ms(new.effective_from, "effective_from"),
    )
    stored = terms.set_terms(ask.errand, wish)
    in_force = stored.effective_from_ms <= ask.errand.clock.wall_ms()
    return _told(Agreed(stored, in_force))


def operations() -> tuple[Operation, ...]:
    some, read, write = "/terms", "terms:read", "terms:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "How an organisation has paid, pays and will pay.",
            _list,
            TERMS.page,
            query=("organisation_id", *PAGED),
        ),
        Operation(
            "POST",
            some,
            write,
            "Agree how an organisation pays from now or a later day on.",
            _set,
            TERMS.type,
            NewTerms,
        ),
        Operation("GET", f"{some}/{{id}}", read, "Terms of one day.", _one, TERMS.type),
    )
