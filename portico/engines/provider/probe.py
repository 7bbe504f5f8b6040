"""A few tokens from a provider, to see that key, model and dialect are right."""

import msgspec

from portico import errors
from portico.canon.conversation import Conversation, Message, TextPart
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.engines.base import UpstreamFailed
from portico.engines.openai_compatible.server import Server
from portico.engines.provider.outbound import ProviderKind
from portico.engines.provider.survey import ModelListed, provider_engine
from portico.engines.transport.base import Transport
from portico.kit.clock import SystemClock

_OUTPUT_TOKENS = 16
"""The least that every provider accepts."""


async def try_provider(
    transport: Transport, server: Server, kind: ProviderKind, listed: ModelListed
) -> str:
    """What is wrong, in a sentence; "" when it answered."""
    engine = provider_engine(kind, server, listed, transport, SystemClock(), 1)
    try:
        await engine.generate(_prompt(listed.name), _ignored)
    except (UpstreamFailed, errors.Refusal) as failed:
        message = failed.refusal.message if isinstance(failed, UpstreamFailed) else failed.message
        return f"{server.shown()} did not answer a test for {listed.name!r}: {message}"
    return ""


async def _ignored(_: Delta) -> None:
    return


def _prompt(model: str) -> Prompt:
    said = Message("user", (TextPart("Say: one two three"),))
    fields: dict[str, msgspec.Raw] = {}
    return Prompt(
        dialect="",
        model=model,
        stream=True,
        body=b"",
        fields=fields,
        wants_usage=False,
        choices=1,
        output_tokens_max=_OUTPUT_TOKENS,
        input_tokens_guess=0,
        needs=frozenset(),
        conversation=lambda: Conversation((said,)),
    )
