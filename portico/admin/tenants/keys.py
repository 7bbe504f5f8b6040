"""API keys of projects, and keys of this API."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from portico import errors
from portico.accounts.admin_keys import service as admin_keys
from portico.accounts.admin_keys.model import AdminKey, AdminKeyWish
from portico.accounts.keys import service
from portico.accounts.keys.model import IssuedKey, Key, KeyChange, KeyWish
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, Moment, moment_ms, page, said, window_of
from portico.callers.model import Mode
from portico.canon.prompt import Compatibility

AtOnce = Annotated[int, Meta(ge=1, le=1_000_000)]
SECRET = "api_key"


class NewKey(Struct):
    """scopes, models, networks: left out for no restriction.  owner_id: a user or service account
    that it goes with; left out for the project's own."""

    project_id: str
    name: str = "unnamed"
    mode: Mode = "live"
    concurrency_max: AtOnce = 64
    expires_at: Moment | None = None
    compatibility: Compatibility | None = None
    scopes: list[str] | None = None
    models: list[str] | None = None
    networks: list[str] | None = None
    owner_id: str | None = None


class KeyChanges(Struct):
    """compatibility: null for that of its project.  scopes, models, networks: null for no
    restriction."""

    name: str | UnsetType = UNSET
    concurrency_max: AtOnce | UnsetType = UNSET
    compatibility: Compatibility | UnsetType | None = UNSET
    scopes: list[str] | UnsetType | None = UNSET
    models: list[str] | UnsetType | None = UNSET
    networks: list[str] | UnsetType | None = UNSET


class Replacement(Struct):
    """overlap_s: how long the old key goes on working, in seconds."""

    overlap_s: int = service.OVERLAP_MS // 1000


class Revocation(Struct):
    """reason: for the audit log."""

    reason: str = ""


class NewAdminKey(Struct):
    """organisation_id, owner_id: whose rights it goes with; left out for the maker's own.
    scopes: the most of those that it has; left out for all of them."""

    name: str
    scopes: list[str] | None = None
    networks: list[str] | None = None
    expires_at: Moment | None = None
    organisation_id: str | None = None
    owner_id: str | None = None


KEY = Shape("key", Key)
ADMIN_KEY = Shape("admin_key", AdminKey)
_ISSUED, _ISSUED_ADMIN = KEY.with_secret(SECRET), ADMIN_KEY.with_secret(SECRET)


def _issued(made: IssuedKey) -> Told:
    return {**KEY.told(made.key), SECRET: made.secret}


def _some(listed: list[str] | None, field: str) -> tuple[str, ...] | None:
    """None: everything.  An empty list is refused: it reads like nothing, and would be everything."""
    if listed is None:
        return None
    if not listed:
        raise errors.OUT_OF_RANGE(
            f"{field!r} is an empty list; it must name something, or be null for no restriction.",
            field=field,
            value=[],
            limit=1,
        )
    return tuple(listed)


def _restricted(change: list[str] | UnsetType | None, field: str) -> tuple[str, ...] | None:
    """As a change is told: None for as it is, () for no restriction."""
    return None if isinstance(change, UnsetType) else _some(change, field) or ()


def _list(ask: Ask) -> Told:
    project_id = ask.query.get("project_id") or None
    return page(ask, service.list_keys(ask.errand, project_id, window_of(ask)), KEY.told)


def _create(ask: Ask) -> Told:
    new: NewKey = ask.body
    wish = KeyWish(
        name=new.name,
        mode=new.mode,
        concurrency_max=new.concurrency_max,
        expires_at_ms=moment_ms(new.expires_at, "expires_at"),
        compatibility=new.compatibility,
        scopes=_some(new.scopes, "scopes"),
        models=_some(new.models, "models"),
        networks=_some(new.networks, "networks"),
        owner_id=new.owner_id,
    )
    return _issued(service.create_key(ask.errand, ask.secrets.peppers, wish, new.project_id))


def _one(ask: Ask) -> Told:
    return KEY.told(service.key_of(ask.errand, ask.id))


def _change(ask: Ask) -> Told:
    change: KeyChanges = ask.body
    compatibility: Compatibility | Literal["project"] | None = None
    if change.compatibility is not UNSET:
        compatibility = change.compatibility or "project"
    wish = KeyChange(
        name=said(change.name),
        concurrency_max=said(change.concurrency_max),
        compatibility=compatibility,
        scopes=_restricted(change.scopes, "scopes"),
        models=_restricted(change.models, "models"),
        networks=_restricted(change.networks, "networks"),
    )
    if wish == KeyChange():
        return _one(ask)
    return KEY.told(service.change_key(ask.errand, ask.id, wish))


def _revoke(ask: Ask) -> Told:
    return KEY.told(service.revoke_key(ask.errand, ask.id, ask.body.reason))


def _replace(ask: Ask) -> Told:
    overlap_ms = 1000 * ask.body.overlap_s
    return _issued(service.replace_key(ask.errand, ask.secrets.peppers, ask.id, overlap_ms))


def _list_admin(ask: Ask) -> Told:
    return page(ask, admin_keys.list_admin_keys(ask.errand, window_of(ask)), ADMIN_KEY.told)


def _create_admin(ask: Ask) -> Told:
    new: NewAdminKey = ask.body
    wish = AdminKeyWish(
        new.name,
        _some(new.scopes, "scopes"),
        _some(new.networks, "networks"),
        moment_ms(new.expires_at, "expires_at"),
        new.organisation_id,
        new.owner_id,
    )
    made = admin_keys.create_admin_key(ask.errand, ask.secrets.peppers, wish)
    return {**ADMIN_KEY.told(made.key), SECRET: made.secret}


def _one_admin(ask: Ask) -> Told:
    return ADMIN_KEY.told(admin_keys.admin_key_of(ask.errand, ask.id))


def _revoke_admin(ask: Ask) -> Told:
    return ADMIN_KEY.told(admin_keys.revoke_admin_key(ask.errand, ask.id, ask.body.reason))


def operations() -> tuple[Operation, ...]:
    read, write = "keys:read", "keys:write"
    one, its = "/keys/{id}", "/admin_keys/{id}"
    return (
        Operation("GET", "/keys", read, "API keys.", _list, KEY.page, query=("project_id", *PAGED)),
        Operation("POST", "/keys", write, "Make an API key.", _create, _ISSUED, NewKey, SECRET),
        Operation("GET", one, read, "One API key.", _one, KEY.type),
        Operation("PATCH", one, write, "Change an API key.", _change, KEY.type, KeyChanges),
        Operation(
            "POST",
            f"{one}/revoke",
            write,
            "Refuse an API key for good, and cut off what it runs.",
            _revoke,
            KEY.type,
            Revocation,
        ),
        Operation(
            "POST",
            f"{one}/replace",
            write,
            "Make a key like another, which ends after an overlap.",
            _replace,
            _ISSUED,
            Replacement,
            SECRET,
        ),
        Operation(
            "GET",
            "/admin_keys",
            "admin_keys:read",
            "Keys of this API.",
            _list_admin,
            ADMIN_KEY.page,
            query=PAGED,
        ),
        Operation(
            "POST",
            "/admin_keys",
            "admin_keys:write",
            "Make a key of this API; never with more rights than its maker has.",
            _create_admin,
            _ISSUED_ADMIN,
            NewAdminKey,
            SECRET,
        ),
        Operation(
            "GET", its, "admin_keys:read", "One key of this API.", _one_admin, ADMIN_KEY.type
        ),
        Operation(
            "POST",
            f"{its}/revoke",
            "admin_keys:write",
            "Refuse a key of this API for good.",
            _revoke_admin,
            ADMIN_KEY.type,
            Revocation,
        ),
    )
