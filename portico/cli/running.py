"""The running server, for commands that talk to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.callers.pepper import PepperLost, read_peppers
from portico.cli.output import Exit, stop
from portico.cli.place import database_of
from portico.db.lock import Server as Serving
from portico.db.lock import running_server
from portico.engines.openai_compatible.server import Server, server_at
from portico.kit.clock import SystemClock
from portico.settings import Settings

_KEY_LIVES_MS = 600_000


def local(data_dir: Path) -> Serving:
    """The server of this data directory; without one, the command ends."""
    serving = running_server(data_dir)
    if serving is None or not serving.base_url:
        stop(
            Exit.FAILED,
            f"no server is running on {data_dir}.",
            fix="Start one with `portico serve`, or name another with --base-url.",
        )
    return serving


@asynccontextmanager
async def running(settings: Settings, purpose: str) -> AsyncIterator[Server]:
    """Where to ask and with which key.  On the server's own machine no key is needed: one is made
    for this command and revoked after it.

    purpose: what that key is called.
    """
    base_url, api_key = settings.client.base_url, settings.client.api_key
    data_dir = Path(settings.server.data_dir)
    if not base_url:
        base_url = local(data_dir).base_url
    if api_key:
        yield server_at(base_url, api_key)
        return
    database, clock = database_of(settings), SystemClock()
    wish = KeyWish(purpose, expires_at_ms=clock.wall_ms() + _KEY_LIVES_MS)
    try:
        peppers = read_peppers(data_dir)
    except PepperLost as error:
        stop(Exit.DATA, str(error))
    issued = database.write(
        lambda connection: create_key(operator(connection, clock), peppers, wish)
    )
    try:
        yield server_at(base_url, issued.secret)
    finally:
        database.write(lambda connection: revoke_key(operator(connection, clock), issued.key.id))
