"""What a provider is asked for a prompt, and who reads its answer.  No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.upstream import OUTPUT_TOKENS_DEFAULT
from portico.dialects.losses import Losses
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.translation import custom_tools
from portico.dialects.outbound.stream import ProviderStream
from portico.dialects.outbound.translation import Translation
from portico.engines.openai_compatible.collecting import Unwrapping
from portico.engines.promises.asked import NONE, Promises, of_conversation
from portico.engines.provider.outbound import Body, Outbound

_MARGIN_TOKENS = 1_024
"""For what the provider puts around a prompt."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model of a provider is known by: its name there, the most it makes at once, and its
    context, input and output together; None where nobody said."""

    model: str
    output_tokens_max: int | None = None
    context_tokens: int | None = None

    def output_tokens(self, prompt: Prompt) -> int | None:
        """What to ask for where the caller said nothing and the provider wants to hear something:
        all it can make, as far as there is room behind a prompt of twice the length guessed."""
        if self.output_tokens_max is None or self.context_tokens is None:
            return self.output_tokens_max
        room = self.context_tokens - 2 * prompt.input_tokens_guess - _MARGIN_TOKENS
        return min(self.output_tokens_max, max(OUTPUT_TOKENS_DEFAULT, room))


@dataclass(frozen=True, slots=True)
class Asking:
    """reader: of its stream; None: the answer comes whole.
    promises: what the provider may not keep by itself."""

    target: str
    body: bytes
    reader: "Reader | None"
    promises: Promises = NONE


class Reader:
    """A provider's stream; calls of tools that take free text get theirs back."""

    def __init__(self, stream: ProviderStream, custom: frozenset[str]) -> None:
        self._stream = stream
        self._unwrap = Unwrapping(custom) if custom else None

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        return self._unwrapped(self._stream.feed, data)

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer."""
        return self._unwrapped(self._stream.finish)

    def _unwrapped(self, read: Callable[..., Delta | None], *data: bytes) -> Delta | None:
        if self._unwrap is None:
            return read(*data)
        try:
            delta = read(*data)
        except BrokenAnswer as broken:
            if broken.delta is not None:
                broken.delta.events = tuple(self._unwrap.pass_on(broken.delta.events))
            raise
        if delta is not None:
            delta.events = tuple(self._unwrap.pass_on(delta.events))
        return delta


def asking(
    prompt: Prompt,
    told: Told,
    outbound: Outbound,
    keep: Callable[[str, str], None],
    signature_of: Callable[[str], str],
) -> Asking:
    """Raises: Refusal: this provider cannot do what is asked."""
    if _passes(prompt, outbound):
        losses = Losses(prompt.compatibility)
        body = outbound.passed(prompt, told.model, losses)
        losses.tell(prompt)
        reader = Reader(outbound.stream(True, keep), frozenset()) if prompt.stream else None
        return Asking(outbound.target(told.model, prompt.stream), msgspec.json.encode(body), reader)
    conversation = prompt.conversation()
    body = _translated(prompt, conversation, told, outbound, signature_of)
    free_text = (
        custom_tools(conversation) if outbound.dialect != "openai_responses" else frozenset()
    )
    reader = Reader(outbound.stream(False, keep), free_text)
    return Asking(
        outbound.target(told.model, True),
        msgspec.json.encode(body),
        reader,
        of_conversation(conversation, prompt.dialect),
    )


def counting(prompt: Prompt, told: Told, outbound: Outbound) -> bytes:
    """The body that asks how many tokens `prompt` has.  Raises: Refusal."""
    conversation = prompt.conversation()
    body = _translated(prompt, conversation, told, outbound, lambda _: "")
    return msgspec.json.encode(outbound.asked(told.model, body))


def _passes(prompt: Prompt, outbound: Outbound) -> bool:
    """May the caller's bytes go as they are?  Not where the answer is to be parted in another way
    than the provider parts it or is called by another name, and not with reasoning that this
    server sealed for another's."""
    if prompt.dialect != outbound.dialect or prompt.framing != "events" or prompt.named:
        return False
    return outbound.own_seal not in prompt.body


def _translated(
    prompt: Prompt,
    conversation: Conversation,
    told: Told,
    outbound: Outbound,
    signature_of: Callable[[str], str],
) -> Body:
    losses = Losses(prompt.compatibility)
    body = outbound.translated(
        Translation(
            prompt, conversation, losses, told.model, told.output_tokens(prompt), signature_of
        )
    )
    losses.declare(prompt, conversation)
    return body
