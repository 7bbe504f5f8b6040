"""`portico admin-key`: create, list and revoke keys of the admin API."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.actors.model import operator
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.accounts.admin_keys.model import AdminKey, AdminKeyWish
from portico.accounts.admin_keys.service import (
    create_admin_key,
    list_admin_keys,
    revoke_admin_key,
)
from portico.cli.key import DataDir, Json, Networks, day, listed, peppers_of
from portico.cli.output import console, refusals, say_json, say_table
from portico.cli.place import database_of, settings_for
from portico.cli.tenants.errands import duration_ms
from portico.kit.clock import SystemClock

app = App(name="admin-key", help="Create, list and revoke keys of the admin API.")

Scopes = Annotated[
    tuple[str, ...] | None,
    listed(
        f"The most it may do, with commas: {', '.join(sorted(INSTALLATION_SCOPES))}.  Left out: "
        "whatever its owner may."
    ),
]


@app.command
def create(
    *,
    name: Annotated[str, Parameter(help="What the key is for.")] = "unnamed",
    organisation: Annotated[
        str | None,
        Parameter(help="For this organisation only, with --owner; left out: for all of them."),
    ] = None,
    owner: Annotated[
        str | None, Parameter(help="The member or service account whose rights it has; its id.")
    ] = None,
    scopes: Scopes = None,
    networks: Networks = None,
    expires_in: Annotated[str | None, Parameter(help="Such as 30d, 12h or 15m.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key of the admin API.  It is shown once and stored nowhere.

    It opens /admin/v1 and nothing else.  Without --organisation and --owner it may do all that an
    operator may.
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    database, clock = database_of(settings), SystemClock()
    expires_at_ms = (
        None if expires_in is None else clock.wall_ms() + duration_ms(expires_in, "--expires-in")
    )
    wish = AdminKeyWish(name, scopes, networks, expires_at_ms, organisation, owner)
    with refusals():
        peppers = peppers_of(settings)
        issued = database.write(
            lambda connection: create_admin_key(operator(connection, clock), peppers, wish)
        )
    if json:
        say_json({**asdict(issued.key), "api_key": issued.secret})
        return
    console.print(issued.secret, style="bold")
    console.print(
        f"{issued.key.id}  {issued.key.name}  (shown only now; keep it safe)", markup=False
    )


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """All keys of the admin API, oldest first, without their secrets."""
    found = database_of(settings_for(None, server={"data_dir": data_dir})).read(
        lambda connection: list_admin_keys(operator(connection, SystemClock()))
    )
    if json:
        say_json({"admin_keys": [asdict(key) for key in found]})
        return
    say_table(
        ("id", "name", "key", "organisation", "owner", "created", "last used", "state"),
        [
            (
                key.id,
                key.name,
                f"{key.prefix}…{key.last4}",
                key.organisation_id or "all",
                key.owner_id or "operator",
                day(key.created_at_ms),
                "-" if key.last_used_at_ms is None else day(key.last_used_at_ms),
                _state(key, SystemClock().wall_ms()),
            )
            for key in found
        ],
    )


@app.command
def revoke(key_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Refuse a key of the admin API from its next request on."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        key = database.write(
            lambda connection: revoke_admin_key(operator(connection, SystemClock()), key_id)
        )
    if json:
        say_json(asdict(key))
        return
    console.print(f"{key.id} is revoked.", markup=False)


def _state(key: AdminKey, now_ms: int) -> str:
    if key.revoked_at_ms is not None:
        return f"revoked {day(key.revoked_at_ms)}"
    if key.expires_at_ms is None:
        return "active"
    ends = "until" if key.expires_at_ms > now_ms else "expired"
    return f"{ends} {day(key.expires_at_ms)}"
