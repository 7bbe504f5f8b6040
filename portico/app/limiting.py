"""Who counts what is asked per minute."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module

from portico.app.failure import CannotStart
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.kit.tasks import Tasks
from portico.rates.counters import Alone
from portico.rates.service import Rates, counting
from portico.settings import Settings


@asynccontextmanager
async def limiting(
    settings: Settings,
    readers: Readers,
    clock: Clock,
    server: str,
    on_failure: Callable[[BaseException], None],
) -> AsyncIterator[Rates]:
    """server: what this process is called among others.  on_failure: as for `Tasks`.

    Raises: CannotStart.
    """
    wanted = settings.rates
    if not wanted.valkey_url:
        yield Rates(readers, Alone(clock), clock)
        return
    try:
        valkey, shared = import_module("valkey.asyncio"), import_module("portico.rates.shared")
        client = valkey.Valkey.from_url(wanted.valkey_url)
    except ModuleNotFoundError as error:
        raise CannotStart(
            "settings", "rates.valkey_url needs the extra `valkey`.", "uv sync --extra valkey"
        ) from error
    except ValueError as error:
        raise CannotStart("settings", f"rates.valkey_url: {error}.") from error
    tasks = Tasks(on_failure)
    count = counting(readers, clock)
    counters = shared.Shared(
        client, server, clock, tasks, count, timeout_s=wanted.valkey_timeout_ms / 1000
    )
    try:
        yield Rates(readers, counters, clock)
    finally:
        await tasks.close()
        await counters.close()
