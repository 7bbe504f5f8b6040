"""What models a provider lists, asked without generating anything, and where it is.

Whatever goes wrong is an answer as well: `problem` says it in one sentence, nothing is raised.
"""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from portico.engines.base import Abilities
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.provider.asking import Told
from portico.engines.provider.engine import ProviderEngine
from portico.engines.provider.outbound import OUTBOUND, ProviderKind
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed
from portico.kit.clock import Clock

_ANSWER_BYTES_MAX = 8_388_608
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=15.0)
_CONTEXTS = ("max_input_tokens", "inputTokenLimit", "max_model_len")
_OUTPUTS = ("max_tokens", "outputTokenLimit")
_NO_LIST = frozenset({404, 405, 501})
"""Servers that imitate a provider have the one route that matters."""


@dataclass(frozen=True, slots=True)
class ModelListed:
    """None where the provider does not say.  context_tokens: input and output together."""

    name: str
    context_tokens: int | None
    output_tokens_max: int | None


@dataclass(frozen=True, slots=True)
class ProviderSurvey:
    """problem: why there is nothing to know, "" when all is well."""

    models: tuple[ModelListed, ...]
    problem: str = ""

    def model(self, name: str) -> ModelListed:
        """As listed; one that is not listed may answer all the same, so nothing is known of it."""
        known = {each.name: each for each in self.models}
        return known.get(name.removeprefix("models/")) or ModelListed(name, None, None)


def provider_at(
    kind: ProviderKind, url: str, api_key: str = "", deadlines: Deadlines | None = None
) -> Server:
    """Read `http[s]://host[:port][/path]`, with or without the version at its end.

    Raises: ValueError, in words for the operator, that never quote a credential.
    """
    headers = OUTBOUND[kind].credentials(api_key)
    server = server_at(url.strip().rstrip("/"), "", headers, deadlines)
    for version in ("/v1beta", "/v1alpha"):
        server = replace(server, base_path=server.base_path.removesuffix(version))
    return server


async def survey_provider(
    transport: Transport, server: Server, kind: ProviderKind
) -> ProviderSurvey:
    """At most 15 s."""
    outbound = OUTBOUND[kind]
    where = f"{server.shown()}{outbound.listing.partition('?')[0]}"
    target = server.base_path + outbound.listing
    call = Call(server.origin, "GET", target, server.headers, b"", _DEADLINES, reuse=False)
    try:
        answer = await transport.send(call)
        try:
            body = await answer.read(_ANSWER_BYTES_MAX)
        finally:
            answer.close()
    except TransportFailed as failed:
        return ProviderSurvey((), f"{where} cannot be reached: {failed.detail}.")
    if answer.status in (400, 401, 403):  # Google says 400 to a wrong key
        return ProviderSurvey((), f"{where} does not accept the API key (status {answer.status}).")
    if answer.status in _NO_LIST:
        return ProviderSurvey(())
    if answer.status != 200:
        return ProviderSurvey((), f"{where} answers with status {answer.status}.")
    return ProviderSurvey(_models(body))


def provider_engine(
    kind: ProviderKind,
    server: Server,
    listed: ModelListed,
    transport: Transport,
    clock: Clock,
    concurrency_max: int,
) -> ProviderEngine:
    """concurrency_max: requests at once; providers do not say."""
    outbound = OUTBOUND[kind]
    abilities = Abilities(
        outbound.features, listed.context_tokens, concurrency_max, outbound.image_types
    )
    told = Told(listed.name, listed.output_tokens_max, listed.context_tokens)
    return ProviderEngine(server, outbound, told, abilities, transport, clock)


def _models(body: bytes) -> tuple[ModelListed, ...]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ()
    listed = (said.get("data") or said.get("models") or ()) if isinstance(said, dict) else ()
    if not isinstance(listed, list):
        return ()
    return tuple(filter(None, map(_model, listed)))


def _model(entry: Any) -> ModelListed | None:
    if not isinstance(entry, dict):
        return None
    name = entry.get("id") or entry.get("name")
    if not isinstance(name, str) or not name:
        return None
    context, output = _first(entry, _CONTEXTS), _first(entry, _OUTPUTS)
    if context and output and "inputTokenLimit" in entry:
        context += output  # two limits there, one here
    return ModelListed(name.removeprefix("models/"), context, output)


def _first(entry: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = entry.get(name)
        if type(value) is int and value > 0:
            return value
    return None
