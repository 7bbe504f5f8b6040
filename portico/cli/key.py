"""`portico key`: create, list and revoke API keys."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from portico.accounts.model import Key, KeyWish, UnknownKey, UnknownProject
from portico.accounts.service import (
    create_key,
    list_keys,
    revoke_key,
    set_key_compatibility,
)
from portico.callers.pepper import PepperLost, read_peppers
from portico.canon.prompt import Compatibility
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.kit.clock import SystemClock

app = App(name="key", help="Create, change, list and revoke API keys.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_LOSSES = (
    "What becomes of what an engine cannot do: strict (refused), warn (dropped or refused, and said), "
    "adapt (the nearest there is, and said).  Left out: as its project."
)
_AS_PROJECT = "as project"
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


@app.command
def create(
    *,
    name: Annotated[str, Parameter(help="What the key is for.")] = "unnamed",
    test: Annotated[
        bool, Parameter(negative="", help="A pk_test_ key instead of pk_live_.")
    ] = False,
    expires_in: Annotated[str | None, Parameter(help="Such as 30d, 12h or 15m.")] = None,
    concurrency: Annotated[int | None, Parameter(help="Requests it may have open.")] = None,
    compatibility: Annotated[Compatibility | None, Parameter(help=_LOSSES)] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key.  It is shown once and stored nowhere; a running server accepts it at once."""
    settings = settings_for(None, server={"data_dir": data_dir})
    database = database_of(settings)
    clock = SystemClock()
    expires_at_ms = None if expires_in is None else clock.wall_ms() + _duration_ms(expires_in)
    concurrency = settings.queue.key_concurrency if concurrency is None else concurrency
    if concurrency < 1:
        stop(Exit.USAGE, f"--concurrency is {concurrency}; it must be at least 1.")
    wish = KeyWish(name, "test" if test else "live", concurrency, expires_at_ms, compatibility)
    try:
        peppers = read_peppers(Path(settings.server.data_dir))
        issued = database.write(lambda connection: create_key(connection, peppers, clock, wish))
    except (PepperLost, UnknownProject) as error:
        stop(Exit.DATA, str(error))
    if json:
        say_json({**_shown(issued.key), "api_key": issued.secret})
        return
    console.print(issued.secret, style="bold")
    console.print(f"{issued.key.id}  {name}  (shown only now; keep it safe)", markup=False)


@app.command(name="list")
def list_all(
    *,
    all: Annotated[
        bool, Parameter(negative="", help="Also those that are revoked or expired.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The keys that open the door, oldest first, without their secrets.

    A key is never forgotten, because usage records name it: --all shows those of the past too,
    among them one for each `portico ask`.
    """
    found = database_of(settings_for(None, server={"data_dir": data_dir})).read(list_keys)
    now_ms = SystemClock().wall_ms()
    keys = [key for key in found if all or _opens(key, now_ms)]
    if json:
        say_json({"keys": [_shown(key) for key in keys]})
        return
    say_table(
        ("id", "name", "key", "created", "compatibility", "state"),
        [
            (
                key.id,
                key.name,
                f"{key.prefix}…{key.last4}",
                _day(key.created_at_ms),
                key.compatibility or _AS_PROJECT,
                _state(key),
            )
            for key in keys
        ],
    )
    if len(keys) < len(found):
        past = len(found) - len(keys)
        console.print(f"{past} revoked or expired not shown; --all shows them.", style="dim")


@app.command(name="set")
def set_one(
    key_id: str,
    /,
    *,
    compatibility: Annotated[
        Literal["strict", "warn", "adapt", "project"],
        Parameter(help="As for `portico key create`; project: as its project."),
    ],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change a key; a running server obeys within 5 seconds."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    word = None if compatibility == "project" else compatibility
    try:
        key = database.write(lambda connection: set_key_compatibility(connection, key_id, word))
    except UnknownKey as error:
        stop(Exit.FAILED, str(error.args[0]))
    if json:
        say_json(_shown(key))
        return
    console.print(f"{key.id} is: {key.compatibility or _AS_PROJECT}.", markup=False)


@app.command
def revoke(key_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Refuse a key from now on; a running server does within 5 seconds."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    try:
        key = database.write(lambda connection: revoke_key(connection, key_id, SystemClock()))
    except UnknownKey as error:
        stop(Exit.FAILED, str(error.args[0]))
    if json:
        say_json(_shown(key))
        return
    console.print(f"{key.id} is revoked.", markup=False)


def _duration_ms(text: str) -> int:
    found = re.fullmatch(r"(\d+)([mhd])", text)
    if not found:
        stop(Exit.USAGE, f"--expires-in is {text!r}; write it as 30d, 12h or 15m.")
    return int(found[1]) * _UNITS_MS[found[2]]


def _shown(key: Key) -> dict[str, object]:
    return {name: getattr(key, name) for name in Key.__dataclass_fields__}


def _day(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _opens(key: Key, now_ms: int) -> bool:
    return key.revoked_at_ms is None and (key.expires_at_ms is None or key.expires_at_ms > now_ms)


def _state(key: Key) -> str:
    if key.revoked_at_ms is not None:
        return f"revoked {_day(key.revoked_at_ms)}"
    if key.expires_at_ms is None:
        return "active"
    ends = "until" if _opens(key, SystemClock().wall_ms()) else "expired"
    return f"{ends} {_day(key.expires_at_ms)}"
