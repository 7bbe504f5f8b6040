"""The guard model of moderations, asked for one judgement where that was wanted."""

from portico.app import CannotStart
from portico.app.engines import transport_of
from portico.app.judging.moderating import guard_of
from portico.canon.moderation import Item
from portico.cli.doctor.checks import Check
from portico.kit.clock import SystemClock
from portico.safety.guard.guard import Guard, GuardAway
from portico.settings import Settings

_NAME = "guard"
_ASKED = (Item("input", "Hello"),)
_FIX = (
    "Check that it runs, that moderation.guard_url is its address, moderation.guard_api_key its key, "
    "and moderation.guard_speaks how it is asked."
)


class _Nobody:
    """Counts nothing."""

    def tried(self, model: str, deployment: str, result: str) -> None:
        return


async def examine_guard(settings: Settings, *, generate: bool) -> list[Check]:
    """None where there is no guard.  Raises nothing; changes nothing.

    generate: ask it about one word, which may cost money."""
    if not settings.moderation.guard_url:
        return []
    try:
        transport = transport_of(settings)
    except CannotStart as error:
        return [Check(_NAME, False, error.says, "Correct the setting.")]
    try:
        guard = guard_of(settings, transport, _Nobody(), SystemClock())
        return [] if guard is None else [await _asked(guard, generate=generate)]
    except CannotStart as error:
        return [Check(_NAME, False, error.says, "Correct the setting.")]
    finally:
        await transport.close()


async def _asked(guard: Guard, *, generate: bool) -> Check:
    name = guard.terms.name
    if not generate:
        return Check(_NAME, True, f"{name} judges moderations, too; --generate asks it")
    try:
        (found,) = await guard.judge(_ASKED)
    except GuardAway as away:
        return Check(_NAME, False, f"{name} gave no judgement: {away}", _FIX)
    return Check(_NAME, True, f"{name} scores {len(found.scored)} categories")
