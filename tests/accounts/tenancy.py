"""An organisation with people in it, on a real database."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico.accounts.actors.model import Errand, Rights, operator
from portico.accounts.actors.rights import rights_of_subject
from portico.accounts.people import invitations, members
from portico.accounts.people.model import Member
from portico.accounts.projects.service import create_project
from portico.accounts.service import establish
from portico.audit.model import Actor, ActorKind
from portico.billing.invoices.customers import STANDARD, set_customer
from portico.billing.invoices.model import Customer, Party
from portico.callers.pepper import make_pepper, read_peppers
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.errors import Refusal
from tests.db.storage import HandClock

T = TypeVar("T")
Act = Callable[[Errand], T]


def narrowed(rights: Rights, scopes: frozenset[str]) -> Rights:
    """As an admin key with scopes of its own has them."""
    in_projects = {id: each & scopes for id, each in rights.in_projects.items()}
    kept = rights.scopes & scopes
    return replace(rights, scopes=kept, in_projects=in_projects, narrowed=True)


def noted(tenancy: "Tenancy", contact: str) -> None:
    """A mail address of the organisation, as the operator notes it."""
    customer = Customer(
        tenancy.organisation_id,
        Party(name="Acme", address=(), country="", vat_id=""),
        STANDARD,
        contact,
    )
    tenancy.database.write(lambda c: set_customer(Transaction(c), customer, tenancy.clock.now_ms))


def mailed(tenancy: "Tenancy") -> list[tuple[str, str]]:
    """Who is written to, and of what kind of event; oldest first."""
    query = (
        "SELECT target, kind FROM delivery JOIN alert ON alert.id = delivery.alert_id "
        "WHERE channel = 'mail' ORDER BY delivery.id"
    )
    return tenancy.database.read(lambda c: [(r[0], r[1]) for r in c.exec_driver_sql(query)])


class OneTransaction(Database):
    """Every change on a savepoint of one transaction that is never committed: nothing waits for a
    disk, and the next run begins where this one did."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.backend, database.data_dir)
        self._connection = database.connect()
        self._driver: Any = self._connection.connection.driver_connection
        self.backend.begin(self._driver)

    def read(self, query: Callable[[Connection], T]) -> T:
        return query(self._connection)

    def write(self, change: Callable[[Connection], T]) -> T:
        with self._connection.begin_nested():
            return change(self._connection)

    def end(self) -> None:
        self._driver.rollback()
        self._connection.close()


class Tenancy:
    """organisation_id, project_id: of one that has the owner `ada`; project `other_id` is of it too."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        make_pepper(data_dir)
        self.peppers = read_peppers(data_dir)
        self.database = database
        self.clock = HandClock()
        self.organisation_id = self.do(lambda errand: establish(errand, "Acme")).id
        self.ada = self.joined("ada", "owner")
        self.project_id = self.project("web")
        self.other_id = self.project("app")

    def aside(self) -> "Tenancy":
        """What is done there is never committed; `end` it."""
        other = copy(self)
        other.database, other.clock = OneTransaction(self.database), HandClock()
        return other

    def end(self) -> None:
        assert isinstance(self.database, OneTransaction)
        self.database.end()

    def do(self, act: Act[T], by: str | None = None, scopes: frozenset[str] | None = None) -> T:
        """by: a subject's id; None: the operator.  scopes: of the admin key it comes with."""
        return self.database.write(lambda connection: act(self.errand(connection, by, scopes)))

    def refused(self, act: Act[Any], by: str | None = None) -> str:
        """The code; nothing is changed."""
        try:
            self.do(act, by)
        except Refusal as refusal:
            return refusal.code
        raise AssertionError("it was allowed")

    def errand(
        self, connection: Connection, by: str | None, scopes: frozenset[str] | None = None
    ) -> Errand:
        if by is None:
            return operator(connection, self.clock)
        rights = self._rights(connection, by)
        if scopes is not None:
            rights = narrowed(rights, scopes)
        return Errand(connection, rights, self.clock)

    def rights(self, subject_id: str) -> Rights:
        return self.database.read(lambda connection: self._rights(connection, subject_id))

    def joined(self, name: str, role: str) -> str:
        """The id of a new member."""
        email = f"{name}@example.org"
        return self.do(
            lambda errand: members.add_member(errand, self.organisation_id, email, role)
        ).subject_id

    def project(self, name: str) -> str:
        return self.do(lambda errand: create_project(errand, self.organisation_id, name)).id

    def invited(self, email: str, role: str, by: str | None = None) -> str:
        """What opens the invitation."""
        return self.do(
            lambda errand: invitations.invite(
                errand, self.peppers, self.organisation_id, email, role
            ),
            by,
        ).token

    def accepted(self, token: str, email: str) -> Member | Refusal:
        found = self.database.write(
            lambda connection: invitations.accept_invitation(
                invitations.guest(connection, self.clock, "203.0.113.9"),
                self.peppers,
                token,
                email,
            )
        )
        return found if isinstance(found, Refusal) else found.member

    def actions(self) -> list[str]:
        """Of the organisation's audit log, oldest first."""
        return self.rows(
            "SELECT action FROM audit_event WHERE organisation_id = "
            f"'{self.organisation_id}' ORDER BY sequence"
        )

    def rows(self, sql: str) -> list[Any]:
        """The first column."""
        return self.database.read(lambda c: list(c.exec_driver_sql(sql).scalars()))

    def _rights(self, connection: Connection, subject_id: str) -> Rights:
        kind: ActorKind = "service_account" if subject_id.startswith("svc_") else "user"
        actor = Actor(kind, subject_id, "akey_test", "203.0.113.9")
        return rights_of_subject(connection, self.organisation_id, subject_id, actor)
