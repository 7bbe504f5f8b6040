"""Who may do what to whose, said once more and by hand: every route, every role, every relation.

`TABLE` names for each route the scope it needs and where that has to count.  The roles are
`accounts.actors.roles`; what somebody may do here is worked out from them without asking the code
that decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from portico.accounts.actors.roles import INSTALLATION_SCOPES, ORGANISATION_ROLES, PROJECT_ROLES
from portico.callers.scopes import KEY_SCOPES
from tests.admin.office import Site

Where = Literal["anywhere", "project", "organisation", "installation", "one of all"]
"""anywhere: a list, which shows what may be seen.  one of all: an object of the installation."""
Relation = Literal["own", "other project", "other organisation", "none"]
RELATIONS: tuple[Relation, ...] = ("own", "other project", "other organisation", "none")


@dataclass(frozen=True)
class Cell:
    """id: which of the target's ids stands for `{id}`.  body, query: with `<name>` for ids of the
    target.  also: what this very target needs besides.  route: the scope that opens the route, where
    it does more than one thing."""

    scope: str
    where: Where
    id: str = ""
    body: Any = None
    query: str = ""
    also: str = ""
    route: str = ""


@dataclass(frozen=True)
class Target:
    """Objects of one project, by the names that cells use."""

    relation: Relation
    organisation: str
    project: str
    ids: Mapping[str, str]

    @property
    def telling(self) -> list[str]:
        """Ids that are of this target alone: the number of an event is not."""
        return [id for id in self.ids.values() if not id.isdigit()]


@dataclass(frozen=True)
class Somebody:
    """scopes, in_projects: as `Rights`, by hand.  organisation: None for the whole installation.
    opens: his credential is one of this API."""

    name: str
    secret: str
    organisation: str | None = None
    scopes: frozenset[str] = frozenset()
    in_projects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    opens: bool = True

    def may(self, cell: Cell, target: Target) -> bool:
        if not self.opens:
            return False
        everywhere = self.scopes
        if cell.where == "anywhere":
            some = everywhere.union(*self.in_projects.values())
            return cell.scope in some
        if cell.where in ("installation", "one of all"):
            there = cell.where == "installation" or target.relation != "none"
            return self.organisation is None and cell.scope in everywhere and there
        if target.relation == "none" or self.organisation not in (None, target.organisation):
            return False
        needed = {cell.scope, cell.also} - {""}
        if cell.where == "organisation":
            return needed <= everywhere
        return needed <= everywhere | self.in_projects.get(target.project, frozenset())


OF_ORGANISATION = "?organisation_id=<organisation>"
OF_PROJECT = "?project_id=<project>"
TABLE: dict[tuple[str, str], Cell] = {
    ("GET", "/organisations"): Cell("organisation:read", "anywhere"),
    ("POST", "/organisations"): Cell(
        "organisations:write", "installation", body={"name": "x", "terms": "prepaid"}
    ),
    ("GET", "/organisations/{id}"): Cell("organisation:read", "organisation", "organisation"),
    ("PATCH", "/organisations/{id}"): Cell(
        "organisation:write", "organisation", "organisation", {"name": "x"}
    ),
    ("POST", "/organisations/{id}/suspend"): Cell(
        "organisations:write", "organisation", "organisation", {}
    ),
    ("POST", "/organisations/{id}/resume"): Cell(
        "organisations:write", "organisation", "organisation"
    ),
    ("GET", "/projects"): Cell("projects:read", "anywhere"),
    ("POST", "/projects"): Cell(
        "projects:write",
        "organisation",
        body={"name": "x", "organisation_id": "<organisation>"},
    ),
    ("GET", "/projects/{id}"): Cell("projects:read", "project", "project"),
    ("PATCH", "/projects/{id}"): Cell("projects:write", "project", "project", {"name": "x"}),
    ("POST", "/projects/{id}/archive"): Cell("projects:write", "project", "project"),
    ("GET", "/keys"): Cell("keys:read", "anywhere"),
    ("POST", "/keys"): Cell(
        "keys:write", "project", body={"project_id": "<project>", "scopes": ["generate"]}
    ),
    ("GET", "/keys/{id}"): Cell("keys:read", "project", "key"),
    ("PATCH", "/keys/{id}"): Cell("keys:write", "project", "key", {"name": "x"}),
    ("POST", "/keys/{id}/revoke"): Cell("keys:write", "project", "key", {}),
    # It is the project's own, and a new one like it is, too.
    ("POST", "/keys/{id}/replace"): Cell(
        "keys:write", "project", "key", {}, also="service_accounts:write"
    ),
    ("GET", "/admin_keys"): Cell("admin_keys:read", "anywhere"),
    ("POST", "/admin_keys"): Cell(
        "admin_keys:write",
        "organisation",
        body={
            "name": "x",
            "scopes": ["projects:read"],
            "organisation_id": "<organisation>",
            "owner_id": "<service_account>",
        },
        also="service_accounts:write",
    ),
    ("GET", "/admin_keys/{id}"): Cell("admin_keys:read", "organisation", "admin_key"),
    ("GET", "/members"): Cell("members:read", "organisation", query=OF_ORGANISATION),
    ("POST", "/members"): Cell(
        "organisations:write",
        "organisation",
        body={"organisation_id": "<organisation>", "email": "new@x.test", "role": "member"},
    ),
    ("GET", "/members/{id}"): Cell("members:read", "organisation", "member", query=OF_ORGANISATION),
    ("PATCH", "/members/{id}"): Cell(
        "members:write", "organisation", "member", {"role": "member"}, OF_ORGANISATION
    ),
    # Also of oneself, for which no more is needed than to be in it.
    ("DELETE", "/members/{id}"): Cell(
        *("members:write", "organisation", "member"),
        query=OF_ORGANISATION,
        route="organisation:read",
    ),
    ("GET", "/project_members"): Cell("members:read", "project", query=OF_PROJECT),
    ("GET", "/project_members/{id}"): Cell(
        "members:read", "project", "developer", query=OF_PROJECT
    ),
    ("PUT", "/project_members/{id}"): Cell(
        "members:write", "project", "member", {"role": "viewer"}, OF_PROJECT
    ),
    ("DELETE", "/project_members/{id}"): Cell(
        "members:write", "project", "developer", query=OF_PROJECT
    ),
    ("GET", "/roles"): Cell("roles:read", "organisation", query=OF_ORGANISATION),
    ("POST", "/roles"): Cell(
        "roles:write",
        "organisation",
        body={
            "organisation_id": "<organisation>",
            "name": "fresh",
            "level": "project",
            "scopes": ["projects:read"],
        },
    ),
    ("GET", "/roles/{id}"): Cell("roles:read", "organisation", "role", query=OF_ORGANISATION),
    ("PATCH", "/roles/{id}"): Cell(
        "roles:write", "organisation", "role", {"scopes": ["projects:read"]}, OF_ORGANISATION
    ),
    ("DELETE", "/roles/{id}"): Cell("roles:write", "organisation", "role", query=OF_ORGANISATION),
    ("GET", "/invitations"): Cell("members:read", "organisation", query=OF_ORGANISATION),
    ("POST", "/invitations"): Cell(
        "members:write",
        "organisation",
        body={"organisation_id": "<organisation>", "email": "new@x.test", "role": "member"},
    ),
    ("GET", "/invitations/{id}"): Cell("members:read", "organisation", "invitation"),
    ("POST", "/invitations/{id}/revoke"): Cell("members:write", "organisation", "invitation"),
    ("GET", "/service_accounts"): Cell("service_accounts:read", "anywhere"),
    ("POST", "/service_accounts"): Cell(
        "service_accounts:write",
        "project",
        body={"project_id": "<project>", "name": "x", "role": "viewer"},
    ),
    ("GET", "/service_accounts/{id}"): Cell("service_accounts:read", "project", "service_account"),
    ("PATCH", "/service_accounts/{id}"): Cell(
        "service_accounts:write", "project", "service_account", {"role": "viewer"}
    ),
    ("POST", "/service_accounts/{id}/disable"): Cell(
        "service_accounts:write", "project", "service_account"
    ),
    ("GET", "/limits"): Cell("limits:read", "project", query="?scope=project&scope_id=<project>"),
    ("PUT", "/limits"): Cell(
        "limits:write",
        "project",
        body={"scope": "project", "scope_id": "<project>", "requests_per_minute": 9},
    ),
    ("GET", "/limits/{id}"): Cell("limits:read", "project", "limit"),
    ("GET", "/terms"): Cell("terms:read", "organisation", query=OF_ORGANISATION),
    ("POST", "/terms"): Cell(
        "terms:write",
        "organisation",
        body={"organisation_id": "<organisation>", "kind": "postpaid"},
    ),
    ("GET", "/terms/{id}"): Cell("terms:read", "organisation", "terms"),
    ("GET", "/deployments"): Cell("deployments:read", "installation"),
    ("POST", "/deployments"): Cell(
        "deployments:write", "installation", body={"model": "m", "location": "http://h.test/v1"}
    ),
    ("GET", "/deployments/{id}"): Cell("deployments:read", "one of all", "deployment"),
    ("POST", "/deployments/{id}/move"): Cell(
        "deployments:write", "one of all", "deployment", {"place": 1}
    ),
    ("POST", "/deployments/{id}/replace_key"): Cell(
        "deployments:write", "one of all", "deployment", {"api_key": "sk-x"}
    ),
    ("DELETE", "/deployments/{id}"): Cell("deployments:write", "one of all", "deployment"),
    ("GET", "/prices"): Cell("prices:read", "installation"),
    ("GET", "/prices/{id}"): Cell("prices:read", "one of all", "price"),
    ("POST", "/prices"): Cell(
        "prices:write",
        "installation",
        body={"model": "m", "prices": [{"meter": "input_text", "nano_usd_per_million": "1"}]},
    ),
    ("GET", "/usage"): Cell("usage:read", "project", query=OF_PROJECT),
    ("GET", "/costs"): Cell("costs:read", "project", query=OF_PROJECT),
    ("GET", "/audit_log"): Cell("audit:read", "organisation", query=OF_ORGANISATION),
    ("GET", "/audit_log/{id}"): Cell("audit:read", "organisation", "event", query=OF_ORGANISATION),
    ("GET", "/installation/audit_log"): Cell("installation:audit", "installation"),
    ("GET", "/installation/audit_log/{id}"): Cell("installation:audit", "one of all", "change"),
    ("GET", "/webhooks"): Cell("webhooks:read", "anywhere"),
    ("POST", "/webhooks"): Cell(
        "webhooks:write",
        "project",
        body={"project_id": "<project>", "url": "https://hooks.example/"},
    ),
    ("GET", "/webhooks/{id}"): Cell("webhooks:read", "project", "webhook"),
    ("PATCH", "/webhooks/{id}"): Cell("webhooks:write", "project", "webhook", {"disabled": True}),
    ("DELETE", "/webhooks/{id}"): Cell("webhooks:write", "project", "webhook"),
    ("POST", "/webhooks/{id}/rotate"): Cell("webhooks:write", "project", "webhook", {}),
    ("POST", "/webhooks/{id}/test"): Cell("webhooks:write", "project", "webhook"),
    ("GET", "/webhooks/{id}/deliveries"): Cell("webhooks:read", "project", "webhook"),
    ("GET", "/webhook_deliveries/{id}"): Cell("webhooks:read", "project", "delivery"),
    ("POST", "/webhook_deliveries/{id}/replay"): Cell("webhooks:write", "project", "delivery"),
    ("POST", "/admin_keys/{id}/revoke"): Cell("admin_keys:write", "organisation", "admin_key", {}),
}


@dataclass(frozen=True)
class World:
    people: tuple[Somebody, ...]
    targets: tuple[Target, ...]

    def target(self, relation: Relation) -> Target:
        return next(each for each in self.targets if each.relation == relation)


def world(site: Site) -> World:
    """An organisation with two projects, another one, and somebody of every kind."""
    ours, theirs = site.organisation("Ours"), site.organisation("Theirs")
    first, second, foreign = site.project(ours), site.project(ours), site.project(theirs)
    targets = (
        _target(site, "own", ours, first),
        _target(site, "other project", ours, second),
        _target(site, "other organisation", theirs, foreign),
    )
    missing = {name: _made_up(id) for name, id in targets[0].ids.items()}
    nothing = Target("none", missing["organisation"], missing["project"], missing)
    return World((*_people(site, ours, first), *_others(site, theirs, first)), (*targets, nothing))


def _made_up(id: str) -> str:
    return "9" * 9 if id.isdigit() else f"{id.partition('_')[0]}_{'0' * 32}"


def _target(site: Site, relation: Relation, organisation: str, project: str) -> Target:
    number = RELATIONS.index(relation)
    member = site.member(organisation, "member", f"{project[-12:]}@target.test")
    developer = site.member(organisation, "member", f"dev-{project[-12:]}@target.test")
    site.in_project(project, developer, "developer")
    key, _ = site.key(project, scopes=("generate",))
    admin_key, _ = site.admin_key_and_id(organisation_id=organisation, owner_id=member)
    webhook, delivery = site.webhook_and_delivery(project)
    ids = {
        "organisation": organisation,
        "project": project,
        "member": member,
        "developer": developer,
        "key": key,
        "admin_key": admin_key,
        "role": site.role(organisation, f"role_{project[-12:]}"),
        "invitation": site.invitation(organisation, f"asked-{project[-12:]}@target.test"),
        "service_account": site.service_account(project, "viewer"),
        "limit": site.limit(project),
        "terms": site.terms(organisation, number),
        "price": site.price(number),
        "event": "1",
        "change": "1",
        "deployment": site.deployment("m"),
        "webhook": webhook,
        "delivery": delivery,
    }
    return Target(relation, organisation, project, ids)


def _people(site: Site, ours: str, first: str) -> list[Somebody]:
    found = [Somebody("the operator", site.admin_key(), None, frozenset(INSTALLATION_SCOPES))]
    reads = ("projects:read", "keys:read")
    found.append(
        Somebody("a reading operator", site.admin_key(scopes=reads), None, frozenset(reads))
    )
    for role, scopes in ORGANISATION_ROLES.items():
        id = site.member(ours, role)
        found.append(Somebody(f"{role} of the organisation", _key(site, ours, id), ours, scopes))
    for role, scopes in PROJECT_ROLES.items():
        for kind in ("member", "service account"):
            if kind == "member":
                id = site.member(ours, "member", f"{role}@project.test")
                site.in_project(first, id, role)
                base = ORGANISATION_ROLES["member"]
            else:
                id, base = site.service_account(first, role), frozenset[str]()
            name = f"{role} of the project ({kind})"
            found.append(Somebody(name, _key(site, ours, id), ours, base, {first: scopes}))
    narrow = frozenset({"projects:read"})
    id = site.member(ours, "owner", "narrow@ours.test")
    secret = site.admin_key(organisation_id=ours, owner_id=id, scopes=tuple(narrow))
    found.append(Somebody("an owner's key that may read projects", secret, ours, narrow))
    return found


def _others(site: Site, theirs: str, first: str) -> list[Somebody]:
    owner = site.member(theirs, "owner", "stranger@theirs.test")
    found = [
        Somebody("nobody", "", opens=False),
        Somebody(
            "owner of another organisation",
            _key(site, theirs, owner),
            theirs,
            ORGANISATION_ROLES["owner"],
        ),
    ]
    for scopes in (None, *((each,) for each in sorted(KEY_SCOPES))):
        _, secret = site.key(first, scopes=scopes)
        found.append(Somebody(f"an API key with {scopes or 'all scopes'}", secret, opens=False))
    return found


def _key(site: Site, organisation: str, owner: str) -> str:
    return site.admin_key(organisation_id=organisation, owner_id=owner)


def filled(template: Any, target: Target) -> Any:
    """`template` with the target's ids in it."""
    if isinstance(template, dict):
        return {name: filled(value, target) for name, value in template.items()}
    if isinstance(template, str):
        for name, id in target.ids.items():
            template = template.replace(f"<{name}>", id)
    return template
