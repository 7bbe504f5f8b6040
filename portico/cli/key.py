"""`portico key`: create, list and revoke API keys."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, Token

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import IssuedKey, Key, KeyChange, KeyWish
from portico.accounts.keys.service import (
    change_key,
    create_key,
    list_keys,
    replace_key,
    revoke_key,
)
from portico.callers.pepper import Pepper, PepperLost, read_peppers
from portico.callers.scopes import EVERY_SCOPE, TOOLS
from portico.canon.prompt import Compatibility
from portico.cli.output import Exit, console, refusals, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.tenants.errands import duration_ms
from portico.kit.clock import SystemClock
from portico.settings import Settings

app = App(name="key", help="Create, change, list and revoke API keys.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_LOSSES = (
    "What becomes of what an engine cannot do: strict (refused), warn (dropped or refused, and said), "
    "adapt (the nearest there is, and said).  Left out: as its project."
)
_AS_PROJECT = "as project"


def _words(_: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """`a,b c` as ("a", "b", "c")."""
    return tuple(" ".join(token.value for token in tokens).replace(",", " ").split())


def listed(help: str) -> Parameter:
    return Parameter(help=help, converter=_words, n_tokens=1, accepts_keys=False)


Scopes = Annotated[
    tuple[str, ...] | None,
    listed(
        f"What it may do, with commas: {', '.join(sorted(EVERY_SCOPE))}.  Left out: all of it but "
        f"{TOOLS}."
    ),
]
Models = Annotated[
    tuple[str, ...] | None, listed("Models it may name, with commas.  Left out: all.")
]
Networks = Annotated[
    tuple[str, ...] | None,
    listed("Where it may come from, such as 203.0.113.0/24, with commas.  Left out: anywhere."),
]


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
    project: Annotated[
        str | None, Parameter(help="Whose key it is; left out: of the first project.")
    ] = None,
    scopes: Scopes = None,
    models: Models = None,
    networks: Networks = None,
    owner: Annotated[
        str | None,
        Parameter(help="The member or service account it goes with; its id."),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key.  It is shown once and stored nowhere; a running server accepts it at once."""
    settings = settings_for(None, server={"data_dir": data_dir})
    database = database_of(settings)
    clock = SystemClock()
    expires_at_ms = (
        None if expires_in is None else clock.wall_ms() + duration_ms(expires_in, "--expires-in")
    )
    concurrency = settings.queue.key_concurrency if concurrency is None else concurrency
    if concurrency < 1:
        stop(Exit.USAGE, f"--concurrency is {concurrency}; it must be at least 1.")
    wish = KeyWish(
        name,
        "test" if test else "live",
        concurrency,
        expires_at_ms,
        compatibility,
        scopes=scopes,
        models=models,
        networks=networks,
        owner_id=owner,
    )
    with refusals():
        peppers = peppers_of(settings)
        issued = database.write(
            lambda connection: create_key(operator(connection, clock), peppers, wish, project)
        )
    _say_issued(issued, json=json)


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
    clock = SystemClock()
    found = database_of(settings_for(None, server={"data_dir": data_dir})).read(
        lambda connection: list_keys(operator(connection, clock))
    )
    now_ms = clock.wall_ms()
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
                day(key.created_at_ms),
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
    name: Annotated[str | None, Parameter(help="What the key is for.")] = None,
    concurrency: Annotated[int | None, Parameter(help="Requests it may have open.")] = None,
    compatibility: Annotated[
        Literal["strict", "warn", "adapt", "project"] | None,
        Parameter(help="As for `portico key create`; project: as its project."),
    ] = None,
    scopes: Scopes = None,
    models: Models = None,
    networks: Networks = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change a key; a running server obeys within 5 seconds.  A list with nothing in it (--models "")
    takes the restriction away."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    wish = KeyChange(name, concurrency, compatibility, scopes, models, networks)
    if wish == KeyChange():
        stop(Exit.USAGE, "Say what should be otherwise; `portico key set --help` lists it.")
    with refusals():
        key = database.write(
            lambda connection: change_key(operator(connection, SystemClock()), key_id, wish)
        )
    if json:
        say_json(_shown(key))
        return
    if compatibility is not None:
        console.print(f"{key.id} is: {key.compatibility or _AS_PROJECT}.", markup=False)
    else:
        console.print(f"{key.id} is changed.", markup=False)


@app.command(name="replace")
def replace_one(
    key_id: str,
    /,
    *,
    overlap: Annotated[
        str, Parameter(help="How long the old one goes on working, such as 24h, 7d or 0m.")
    ] = "24h",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key like another, which ends after an overlap and says so in its answers until then."""
    settings = settings_for(None, server={"data_dir": data_dir})
    database, clock = database_of(settings), SystemClock()
    overlap_ms = duration_ms(overlap, "--overlap")
    with refusals():
        peppers = peppers_of(settings)
        issued = database.write(
            lambda connection: replace_key(operator(connection, clock), peppers, key_id, overlap_ms)
        )
    _say_issued(issued, json=json)
    if not json:
        console.print(f"{key_id} works for {overlap} more.", markup=False)


@app.command
def revoke(key_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Refuse a key from now on; a running server does within 5 seconds, and ends what it runs
    within 10."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        key = database.write(
            lambda connection: revoke_key(operator(connection, SystemClock()), key_id)
        )
    if json:
        say_json(_shown(key))
        return
    console.print(f"{key.id} is revoked.", markup=False)


def peppers_of(settings: Settings) -> tuple[Pepper, ...]:
    try:
        return read_peppers(Path(settings.server.data_dir))
    except PepperLost as error:
        stop(Exit.DATA, str(error))


def _say_issued(issued: IssuedKey, *, json: bool) -> None:
    if json:
        say_json({**_shown(issued.key), "api_key": issued.secret})
        return
    console.print(issued.secret, style="bold")
    console.print(
        f"{issued.key.id}  {issued.key.name}  (shown only now; keep it safe)", markup=False
    )


def _shown(key: Key) -> dict[str, object]:
    return {name: getattr(key, name) for name in Key.__dataclass_fields__}


def day(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _opens(key: Key, now_ms: int) -> bool:
    return key.revoked_at_ms is None and (key.expires_at_ms is None or key.expires_at_ms > now_ms)


def _state(key: Key) -> str:
    if key.revoked_at_ms is not None:
        return f"revoked {day(key.revoked_at_ms)}"
    if key.expires_at_ms is None:
        return "active"
    ends = "until" if _opens(key, SystemClock().wall_ms()) else "expired"
    return f"{ends} {day(key.expires_at_ms)}"
