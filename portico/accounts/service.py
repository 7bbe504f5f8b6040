"""The first start: an organisation, a project, a key, and the pepper that keys are hashed with."""

from pathlib import Path

from sqlalchemy import Connection

from portico.accounts.actors.model import Errand, operator
from portico.accounts.catalogue.terms import set_terms
from portico.accounts.keys.model import IssuedKey, KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.projects.model import Organisation
from portico.accounts.projects.service import create_organisation, create_project, first_project
from portico.callers.pepper import Pepper, make_pepper, read_peppers
from portico.db.database import Database
from portico.kit.clock import Clock
from portico.pricing.model import TermsKind, TermsWish

FIRST_KEY = KeyWish("First key")


def open_accounts(
    database: Database, data_dir: Path, clock: Clock, first_key: KeyWish = FIRST_KEY
) -> tuple[tuple[Pepper, ...], IssuedKey | None]:
    """The peppers, and at the first start the key that was made then.  Blocking, for start-up.

    first_key: what that key should be.

    Raises: PepperLost, when there are keys but no pepper.
    """

    def begin(connection: Connection) -> IssuedKey | None:
        # Whoever came first has made the pepper as well.  One of our own would know none of its keys.
        if first_project(connection) is not None:
            return None
        make_pepper(data_dir)
        return _first_start(operator(connection, clock), read_peppers(data_dir), first_key)

    issued = None if database.read(first_project) is not None else database.write(begin)
    return read_peppers(data_dir), issued


def _first_start(errand: Errand, peppers: tuple[Pepper, ...], first_key: KeyWish) -> IssuedKey:
    """An organisation, a project and a live key.

    The organisation is the operator's own: its use is charged nothing.
    """
    organisation_id = establish(errand, "Default organisation", "internal").id
    project_id = create_project(errand, organisation_id, "Default project").id
    return create_key(errand, peppers, first_key, project_id)


def establish(errand: Errand, name: str, terms: TermsKind = "prepaid") -> Organisation:
    """An organisation, and how it pays from now on: without terms it could buy nothing.

    Raises: Refusal: permission_denied, out_of_range.
    """
    made = create_organisation(errand, name)
    wish = TermsWish(organisation_id=made.id, kind=terms)
    set_terms(errand, wish)
    return made
