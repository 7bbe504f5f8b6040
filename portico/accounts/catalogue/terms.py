"""How organisations pay: for the operator to say, and for those who pay to see.

Terms are never changed once they are stored: others follow them, now or from a later day on.
"""

from dataclasses import dataclass

import msgspec

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name
from portico.accounts.projects.theirs import theirs
from portico.pricing import service as pricing
from portico.pricing.checks import NotStorable
from portico.pricing.model import Terms, TermsWish


@dataclass(frozen=True, slots=True)
class Agreed:
    """in_force: they count now, and no later ones do yet."""

    terms: Terms
    in_force: bool


def set_terms(errand: Errand, wish: TermsWish, author: str = "") -> Terms:
    """From now on, or from the day it names: all of it anew, so a discount it does not name is gone.

    author: who agreed it; "" for whoever asks.
    Raises: Refusal: resource_not_found, permission_denied, invalid_value.
    """
    theirs(errand, wish.organisation_id)
    errand.require("terms:write")
    for name in ("plan", "consent"):
        if getattr(wish, name):
            check_name(getattr(wish, name), name)
    before = next(
        (each.terms for each in _all(errand, wish.organisation_id) if each.in_force), None
    )
    author = author or errand.by.actor.id
    try:
        stored = pricing.set_terms(errand.connection, wish, author, errand.clock)
    except NotStorable as error:
        raise errors.INVALID_VALUE(
            str(error), field="terms", remedy="Nothing was stored; say it otherwise."
        ) from error
    was = None if before is None else msgspec.to_builtins(before)
    errand.note(stored.organisation_id, "terms.set", stored.id, was, msgspec.to_builtins(stored))
    return stored


def list_terms(errand: Errand, organisation_id: str) -> list[Agreed]:
    """All that were ever agreed, by the day from which they count; those to come are the last.

    Raises: Refusal: resource_not_found, permission_denied.
    """
    theirs(errand, organisation_id)
    errand.require("terms:read")
    return _all(errand, organisation_id)


def terms_of(errand: Errand, terms_id: str) -> Agreed:
    """Raises: Refusal: permission_denied; resource_not_found, also of what is not theirs."""
    errand.require("terms:read")
    whose = pricing.whose_terms(errand.connection, errand.by.organisation_id, terms_id)
    if whose is None:
        raise unknown("terms", terms_id)
    return next(each for each in _all(errand, whose) if each.terms.id == terms_id)


def _all(errand: Errand, organisation_id: str) -> list[Agreed]:
    found = pricing.agreed(errand.connection, organisation_id)
    now_ms = errand.clock.wall_ms()
    started = [each.id for each in found if each.effective_from_ms <= now_ms]
    return [Agreed(each, started[-1:] == [each.id]) for each in found]
