"""Remote tools, wired."""

from ipaddress import ip_network

from portico.app.failure import CannotStart
from portico.app.identity import Identity
from portico.app.storage import Books
from portico.dialects.anthropic_messages.remote.turns import Wording as Messages
from portico.dialects.openai_responses.remote.turns import Wording as Responses
from portico.door.visits.generation import Rounds
from portico.door.visits.later import NotLater
from portico.door.visits.rounds import RemoteRounds, Wording
from portico.kit.clock import Clock
from portico.observe.metrics import Metrics
from portico.settings import Settings
from portico.tools.http import Poster, Ways
from portico.tools.model import Limits
from portico.tools.service import Tools


def remote_tools(
    settings: Settings, books: Books, identity: Identity, metrics: Metrics, clock: Clock
) -> dict[str, Rounds]:
    """By the path that is asked; {} where they are not called.

    Raises: CannotStart: a network that is none.
    """
    wanted = settings.tools
    if not wanted.enabled:
        return {}
    try:
        never = tuple(ip_network(each) for each in wanted.never)
    except ValueError as error:
        raise CannotStart("settings", f"tools.never: {error}.") from error
    limits = Limits(
        servers_max=wanted.servers_max,
        tools_max=wanted.tools_max,
        rounds_max=wanted.rounds_max,
        calls_max=wanted.calls_max,
        tokens_max=wanted.tokens_max,
        run_s=wanted.run_s,
        call_s=wanted.call_s,
        parallel=wanted.parallel,
        result_bytes_max=wanted.result_bytes_max,
        runs_max=wanted.runs_max,
        runs_per_project_max=wanted.runs_per_project_max,
    )
    tools = Tools(Poster(Ways(wanted.private_allowed, never)), limits)
    return {
        path: RemoteRounds(tools, wording, books.writer, clock, metrics)
        for path, wording in _wordings(identity).items()
    }


def none_later(settings: Settings, identity: Identity) -> dict[str, Rounds]:
    """The same for whom nobody waits."""
    if not settings.tools.enabled:
        return {}
    return {path: NotLater(wording) for path, wording in _wordings(identity).items()}


def _wordings(identity: Identity) -> dict[str, Wording]:
    return {"/v1/responses": Responses(identity.seal), "/v1/messages": Messages(identity.seal)}
