"""The admin API on a real socket and a real database, and people of every kind to ask it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico.accounts.actors.caps import CAPS, Caps
from portico.accounts.actors.model import Errand, operator
from portico.accounts.admin_keys import store as admin_key_store
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key
from portico.accounts.catalogue.deployments import add_deployment
from portico.accounts.catalogue.prices import set_prices
from portico.accounts.catalogue.terms import set_terms
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import set_limit
from portico.accounts.people.invitations import invite
from portico.accounts.people.members import add_member, set_project_role
from portico.accounts.people.roles import create_role
from portico.accounts.people.service_accounts import create_service_account
from portico.accounts.projects.service import create_organisation, create_project, project_of
from portico.accounts.service import open_accounts
from portico.accounts.webhooks.service import create_endpoint, send_test
from portico.admin.desk import Desk
from portico.admin.operation import Secrets
from portico.admin.routes import routes
from portico.admin.turnstile import Turnstile
from portico.admin.visitors.joining import Joining
from portico.admin.visitors.leaks import Leaks
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.callers.last_use import LastUse
from portico.callers.pepper import Pepper
from portico.db.database import Database, connect_database
from portico.db.readers import Readers
from portico.db.reports import Reports
from portico.db.writer import Writer
from portico.door.dispatch import Dispatch
from portico.door.routes import Route, Routes
from portico.kit.clock import Clock, SystemClock
from portico.kit.sealing import Seal
from portico.pricing.model import PriceWish, TermsWish
from portico.routing.keys import seal_of
from portico.routing.model import RegistrationWish
from portico.webhooks.model import EndpointWish
from tests.db.databases import new_sqlite
from tests.db.storage import QUICK, Health
from tests.door.scene import Answer, Scene, Watching, Wire, request, serving

T = TypeVar("T")
KEEP_MS = 3_600_000


@dataclass
class Site:
    """An open database with its peppers."""

    database: Database
    peppers: tuple[Pepper, ...]
    clock: Clock = field(default_factory=SystemClock)

    def does(self, work: Callable[[Errand], T]) -> T:
        """As the operator."""
        return self.database.write(lambda connection: work(operator(connection, self.clock)))

    def rows(self, query: str) -> list[Any]:
        return self.database.read(lambda c: list(c.exec_driver_sql(query).mappings()))

    def organisation(self, name: str = "Acme") -> str:
        return self.does(lambda e: create_organisation(e, name).id)

    def project(self, organisation_id: str, name: str = "Main") -> str:
        return self.does(lambda e: create_project(e, organisation_id, name).id)

    def key(self, project_id: str, **wish: Any) -> tuple[str, str]:
        """Its id and itself."""
        wished = KeyWish("a key", **wish)
        made = self.does(lambda e: create_key(e, self.peppers, wished, project_id))
        return made.key.id, made.secret

    def member(self, organisation_id: str, role: str, email: str = "") -> str:
        email = email or f"{role}@{organisation_id[-12:]}.test"
        return self.does(lambda e: add_member(e, organisation_id, email, role)).subject_id

    def in_project(self, project_id: str, subject_id: str, role: str) -> str:
        self.does(lambda e: set_project_role(e, project_id, subject_id, role))
        return subject_id

    def service_account(self, project_id: str, role: str) -> str:
        return self.does(lambda e: create_service_account(e, project_id, "robot", role)).id

    def webhook_and_delivery(self, project_id: str) -> tuple[str, str]:
        """Ids."""

        def make(errand: Errand) -> tuple[str, str]:
            organisation_id = project_of(errand, project_id).organisation_id
            wish = EndpointWish(organisation_id, "https://hooks.example/", project_id)
            made = create_endpoint(errand, seal_of(self.peppers), wish, private_allowed=False)
            return made.endpoint.id, send_test(errand, made.endpoint.id).id

        return self.does(make)

    def role(self, organisation_id: str, name: str) -> str:
        scopes = ("projects:read",)
        return self.does(lambda e: create_role(e, organisation_id, name, "project", scopes)).name

    def invitation(self, organisation_id: str, email: str) -> str:
        made = self.does(lambda e: invite(e, self.peppers, organisation_id, email, "member"))
        return made.invitation.id

    def limit(self, project_id: str) -> str:
        for model in ("", "vendor/model:1"):
            limit = Limit("project", project_id, model, requests_per_minute=9)
            self.does(partial(set_limit, limit=limit))
        return f"project/{project_id}"

    def terms(self, organisation_id: str, number: int) -> str:
        """number: one of its own for each: two never count from one moment."""
        from_ms = self.clock.wall_ms() + 86_400_000 * (1 + number)
        wish = TermsWish(organisation_id=organisation_id, kind="prepaid", effective_from_ms=from_ms)
        return self.does(lambda e: set_terms(e, wish)).id

    def price(self, number: int) -> str:
        """As `terms`."""
        wish = PriceWish(model=f"priced-{number}", meter="input_text", nano_per_million=1)
        return self.does(lambda e: set_prices(e, [wish]))[0].id

    def deployment(self, model: str) -> str:
        wish = RegistrationWish(model, "http://engine.test/v1")
        return self.does(lambda e: add_deployment(e, wish)).id

    def admin_key(self, **wish: Any) -> str:
        """The operator's, unless it says whose."""
        return self.admin_key_and_id(**wish)[1]

    def admin_key_and_id(self, **wish: Any) -> tuple[str, str]:
        wished = AdminKeyWish("an admin key", **wish)
        made = self.does(lambda e: create_admin_key(e, self.peppers, wished))
        return made.key.id, made.secret


def site(folder: Path, url: str = "", clock: Clock | None = None) -> Site:
    database = connect_database(folder, url) if url else new_sqlite(folder)
    clock = clock or SystemClock()
    peppers, _ = open_accounts(database, folder, clock)
    return Site(database, peppers, clock)


@dataclass
class Office:
    site: Site
    scene: Scene
    wire: Wire
    routes: tuple[Route, ...]
    last_use: LastUse

    async def ask(
        self, method: str, path: str, key: str = "", body: Any = None, *headers: str
    ) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        lines = [*headers, *([f"Authorization: Bearer {key}"] if key else [])]
        url = path if path.startswith(("/security", "/invitations/accept")) else f"/admin/v1{path}"
        await self.wire.send(request(url, raw, *lines, method=method))
        return await self.wire.answer()


class Rehearsing:
    """A writer, or readers, of which nothing remains: what they did is undone before they answer."""

    def __init__(self, database: Database) -> None:
        self._backend = database.backend
        self._connection = database.connect()

    async def run(self, change: Callable[[Connection], T], tenant: str | None = None) -> T:
        driver: Any = self._connection.connection.driver_connection
        self._backend.begin(driver)
        try:
            return change(self._connection)
        finally:
            self._connection.rollback()
            driver.rollback()

    def close(self) -> None:
        self._connection.close()


class Interrupted(Readers):
    def __init__(self, database: Database, after_read: Callable[[], None]) -> None:
        super().__init__(database)
        self._after_read = after_read

    async def run(self, *asked: Any, **more: Any) -> Any:
        found = await super().run(*asked, **more)
        self._after_read()
        return found


@asynccontextmanager
async def office(
    site: Site,
    *,
    rehearsing: bool = False,
    after_read: Callable[[], None] = lambda: None,
    requests_per_minute: int = 1_000_000,
    failures_per_minute: int = 1_000_000,
    caps: Caps = CAPS,
    reports: Any = None,
) -> AsyncIterator[Office]:
    """rehearsing: every request finds the site as it was.  after_read: done behind every read, before
    its result is known."""
    readers: Any = Interrupted(site.database, after_read)
    writer: Any = Writer(site.database, site.clock, Health(), QUICK)
    writer.start()
    await writer.run(lambda connection: None)  # it has begun, and asks nothing of its own any more
    work: Any = Rehearsing(site.database) if rehearsing else None
    last_use = LastUse(writer.run, site.clock, admin_key_store.note_use)
    secrets = Secrets(site.peppers, Seal([each.secret for each in site.peppers]))
    desk = Desk(
        *(work or readers, reports or Reports(site.database, work or readers, 60.0)),
        *(work or writer, site.clock, secrets, last_use),
        Turnstile(site.clock, requests_per_minute, failures_per_minute),
        caps=caps,
        keep_ms=KEEP_MS,
        compression=True,
    )
    leaks = Leaks(work or writer, site.peppers, site.clock)
    joining = Joining(work or writer, site.peppers, site.clock)
    made = [*routes(desk, "0"), *leaks.routes(), joining.route()]
    dispatch = Dispatch(Routes(made), OPENAI_CHAT.render, Watching())
    try:
        async with serving(dispatch.serve) as scene:
            wire = await scene.connect()
            yield Office(site, scene, wire, tuple(made), last_use)
    finally:
        if work is not None:
            work.close()
        await writer.close()
        readers.close()
