"""Every upstream, asked as a start would ask it: is it there, does it let us in, what does it list?

Nothing is generated unless that was wanted, because tokens may cost money.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from portico.app import CannotStart
from portico.app.engines import transport_of, wishes
from portico.cli.doctor.checks import Check
from portico.db.backends.base import Unusable
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import connect_database
from portico.engines.openai_compatible.probe import try_stream
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.openai_compatible.survey import Survey, survey
from portico.engines.provider.outbound import ProviderKind
from portico.engines.provider.probe import try_provider
from portico.engines.provider.survey import provider_at, survey_provider
from portico.engines.transport.base import Transport
from portico.routing.fleet import Wish
from portico.routing.model import Registration
from portico.routing.registry import Registry
from portico.settings import Settings

_NAME = "upstream"
_LISTED_MAX = 4


async def examine_upstreams(settings: Settings, *, generate: bool) -> list[Check]:
    """A check for each upstream of the settings and of `portico model add`, in that order.  Raises
    nothing; changes nothing.

    generate: also ask each for a few tokens, of the model it is registered for or the first it
    lists.
    """
    try:
        registered = _registered(settings)
    except (Unusable, OSError, DBAPIError) as error:
        says = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        fix = "Run `portico db check`; `portico db upgrade` makes the tables on PostgreSQL."
        return [Check(_NAME, False, f"what `model add` registered cannot be read: {says}", fix)]
    try:
        transport = transport_of(settings)
    except CannotStart as error:
        return [Check(_NAME, False, error.says, "Correct the setting.")]
    asked = wishes(settings, registered)
    ways = [*(_way_of_url() for _ in settings.upstream.urls), *map(_way_of_registered, registered)]
    try:
        found = (
            _ask(transport, wish, way, generate) for wish, way in zip(asked, ways, strict=True)
        )
        return list(await asyncio.gather(*found))
    finally:
        await transport.close()


def _registered(settings: Settings) -> Sequence[Registration]:
    """Read as it is: opening the database for use would bring its tables up to date."""
    data_dir = Path(settings.server.data_dir)
    if not settings.database.url and not (data_dir / FILE_NAME).exists():
        return ()
    return Registry(connect_database(data_dir, settings.database.url)).list()


def _way_of_url() -> str:
    """What to look at when a server of the settings does not answer."""
    return "Check that it runs, that upstream.urls is its address and upstream.api_key its key."


def _way_of_registered(registration: Registration) -> str:
    """The same for one of `portico model add`."""
    name = registration.credential_env
    key = f" and that {name} holds its key, here and where Portico runs" if name else ""
    return f"Check that it runs, that `portico model list` shows its address{key}."


async def _ask(transport: Transport, wish: Wish, way: str, generate: bool) -> Check:
    if wish.trouble:
        return Check(_NAME, False, f"{wish.model}: {wish.trouble}", way)
    if wish.kind != "openai_compatible":
        return await _ask_provider(transport, wish, wish.kind, way, generate)
    try:
        server = server_at(wish.base_url, wish.api_key)
    except ValueError as error:
        return Check(_NAME, False, f"{wish.base_url!r}: {error}", "Correct the address.")
    surveyed = await survey(transport, server)
    name = f"{wish.model}: " if wish.model else ""
    if surveyed.problem:
        return Check(_NAME, False, f"{name}{surveyed.problem}", way)
    model = wish.upstream_model or wish.model or surveyed.models[0].name
    if generate:
        return await _generated(transport, server, surveyed, model, way)
    listed = [each.name for each in surveyed.models]
    return _listed(server, name, surveyed.model(model).name, listed)


async def _ask_provider(
    transport: Transport, wish: Wish, kind: ProviderKind, way: str, generate: bool
) -> Check:
    try:
        server = provider_at(kind, wish.base_url, wish.api_key)
    except ValueError as error:
        return Check(_NAME, False, f"{wish.base_url!r}: {error}", "Correct the address.")
    surveyed = await survey_provider(transport, server, kind)
    if surveyed.problem:
        return Check(_NAME, False, f"{wish.model}: {surveyed.problem}", way)
    model = wish.upstream_model
    if generate:
        problem = await try_provider(transport, server, kind, surveyed.model(model))
        says = problem or f"{server.shown()} answers for {model}"
        return Check(_NAME, not problem, f"{wish.model}: {says}", way)
    if not surveyed.models:
        says = f"{wish.model}: {server.shown()} lets us in and lists no models"
        return Check(_NAME, True, says)
    listed = [each.name for each in surveyed.models]
    return _listed(server, f"{wish.model}: ", model.removeprefix("models/"), listed)


def _listed(server: Server, name: str, model: str, listed: Sequence[str]) -> Check:
    says = f"{name}{server.shown()} lists {_in_words(listed)}"
    fix = (
        f"Register it anew with --upstream-model, or see with `portico doctor --generate` whether "
        f"{model} answers all the same."
    )
    unlisted = "" if model in listed else f", but not {model}"
    return Check(_NAME, not unlisted, says + unlisted, fix)


async def _generated(
    transport: Transport, server: Server, surveyed: Survey, model: str, way: str
) -> Check:
    profile = await try_stream(transport, server, surveyed, model)
    if profile.problem:
        return Check(_NAME, False, profile.problem, way)
    remark = f".  {profile.remark}" if profile.remark else ""
    return Check(_NAME, True, f"{server.shown()} answers for {model}{remark}")


def _in_words(models: Sequence[str]) -> str:
    shown = ", ".join(models[:_LISTED_MAX])
    more = len(models) - _LISTED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
