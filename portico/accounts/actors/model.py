"""What somebody may do, and on whose behalf something is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.caps import CAPS, Caps
from portico.accounts.actors.login import login
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.audit import service as audit
from portico.audit.model import Actor, Details
from portico.kit.clock import Clock
from portico.webhooks.outbox import happened


@dataclass(frozen=True, slots=True)
class Rights:
    """organisation_id: the only one that exists for them; None: the whole installation.

    scopes: in every project of it.
    in_projects: besides, by project.
    narrowed: the credential was given a part of what its owner may, by him or by somebody else: it
    does not grow with him, nor does any that is made with it, nor does it speak for him when he
    leaves.
    ends_at_ms, networks: of the credential they came with, which makes none that lasts longer or
    comes from elsewhere; None and () for no such bound.
    """

    actor: Actor
    organisation_id: str | None
    scopes: frozenset[str]
    in_projects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ends_at_ms: int | None = None
    networks: tuple[str, ...] = ()
    narrowed: bool = False

    def within(self, project_id: str | None = None) -> frozenset[str]:
        """What counts in a project; None: in the organisation itself."""
        more = self.in_projects.get(project_id) if project_id is not None else None
        return self.scopes if more is None else self.scopes | more

    def anywhere(self, scope: str) -> bool:
        """In the organisation, or in one project at least."""
        return scope in self.scopes or any(scope in each for each in self.in_projects.values())

    def projects_with(self, scope: str) -> tuple[str, ...] | None:
        """Where it counts; None: in every project there is for them."""
        if scope in self.scopes:
            return None
        return tuple(sorted(id for id, each in self.in_projects.items() if scope in each))


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing somebody wants done: in which transaction, with which rights, at what time.

    Every service of this room takes one.  It asks for the scope it needs before it does anything,
    and notes what it changed in the same transaction.

    caps: of what an organisation may make; the operator may make more for it.
    """

    connection: Connection
    by: Rights
    clock: Clock
    caps: Caps = CAPS

    def require(self, scope: str, project_id: str | None = None) -> None:
        """Raises: Refusal: permission_denied."""
        if scope not in self.by.within(project_id):
            raise _denied(scope)

    def require_anywhere(self, scope: str) -> None:
        """Before anything is looked for: whoever has it nowhere is told so, whatever he asks about;
        whoever has it elsewhere is told that there is no such thing.

        Raises: Refusal: permission_denied.
        """
        if not self.by.anywhere(scope):
            raise _denied(scope)

    def check_room(self, things: str, most: int, count: Callable[[], int]) -> None:
        """Before one more is made.  things: in words.  count: of those that are alive.

        Raises: Refusal: object_limit_reached.
        """
        if self.by.organisation_id is None:
            return
        there = count()
        if there >= most:
            raise errors.OBJECT_LIMIT(
                f"There are {there} {things}; there may be {most}.", value=there, limit=most
            )

    def note(
        self,
        organisation_id: str,
        action: str,
        target: str,
        before: Details | None = None,
        after: Details | None = None,
    ) -> None:
        """organisation_id: whose chain it stands in; "" for the installation's.

        Whoever has an endpoint for such things is told.
        """
        now_ms = self.clock.wall_ms()
        audit.record(
            self.connection, now_ms, self.by.actor, organisation_id, action, target, before, after
        )
        happened(self.connection, action, organisation_id, target, after or {}, now_ms)


def operator(connection: Connection, clock: Clock) -> Errand:
    """An errand of whoever can run commands on this machine: he may do everything."""
    rights = Rights(Actor("operator", login()), None, frozenset(INSTALLATION_SCOPES))
    return Errand(connection, rights, clock)


def unknown(kind: str, id: str) -> errors.Refusal:
    """What is not there, and what is somebody else's: the two cannot be told apart."""
    return errors.RESOURCE_NOT_FOUND(
        f"There is no {kind} {id[:100]!r} here.", field="id", value=id[:100]
    )


def _denied(scope: str) -> errors.Refusal:
    return errors.PERMISSION_DENIED(
        f"This needs the scope {scope!r}, which these credentials do not have here.",
        field="scope",
        value=scope,
    )
