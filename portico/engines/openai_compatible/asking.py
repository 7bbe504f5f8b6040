"""What the server is told for a prompt, and who reads its answer.  No I/O.

A caller's own dialect is passed through where the server speaks it; everything else is told as
Chat.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import msgspec

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.trimming import bytes_of, fitted
from portico.dialects.losses import Losses
from portico.dialects.openai_chat.parse import DIALECT as CHAT
from portico.dialects.openai_chat.reading.reader import StreamReader, read_answer
from portico.dialects.openai_chat.repair import RepairReader, repair_answer
from portico.dialects.openai_chat.translation import as_chat, custom_tools
from portico.dialects.openai_completions import upstream as completions
from portico.dialects.openai_completions.parse import DIALECT as COMPLETIONS
from portico.dialects.openai_embeddings import upstream as embeddings
from portico.dialects.writing import encode
from portico.engines.openai_compatible.collecting import Collecting, FromCompletions
from portico.engines.openai_compatible.efforts import in_known_effort
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.request import (
    check_media,
    names_tools,
    request_body,
    streams,
    vectors_body,
)
from portico.engines.openai_compatible.server import Server
from portico.engines.promises.asked import NONE, Promises, of_chat, one_call_only

_ANSWER_BYTES_MAX = 33_554_432
_VECTORS_BYTES_MAX = 134_217_728
"""2,048 vectors of 4,096 numbers, each written with up to 16 characters."""
_ONLY_VECTORS = frozenset({"embeddings"})


class Reader(Protocol):
    """Bytes of one stream in, deltas out: `StreamReader` passes them through, `RepairReader`
    writes them anew, `Collecting` makes events of them."""

    def feed(self, data: bytes) -> Delta | None: ...

    def finish(self) -> Delta | None: ...


class Asking(msgspec.Struct, frozen=True):
    """One exchange.  (A msgspec struct: made once per request, many times as fast.)

    reader: of its stream; None: the answer comes whole, and `whole` reads it.
    optional: the server may not have this target.
    promises: what the server may not keep by itself.
    """

    target: str
    body: bytes
    reader: Reader | None
    whole: Callable[[bytes], Delta]
    answer_bytes_max: int
    optional: bool = False
    promises: Promises = NONE


def asking(prompt: Prompt, profile: Profile, server: Server, *, completes: bool) -> Asking:
    """completes: the server has `/v1/completions`, as far as is known.

    Raises: Refusal: this server cannot do what is asked.
    """
    if prompt.to_embed is not None:
        return _for_vectors(prompt, profile, server)
    if profile.abilities.features == _ONLY_VECTORS:
        raise errors.UNSUPPORTED_FEATURE(
            f"The model {prompt.model!r} makes vectors and no words.",
            field="model",
            value=prompt.model,
            limit=sorted(_ONLY_VECTORS),
            remedy="Ask it at /v1/embeddings, or choose another model.",
        )
    if prompt.dialect == COMPLETIONS and completes:
        return _for_completions(prompt, profile, server)
    if prompt.dialect == COMPLETIONS:
        _say_it_is_chat(prompt)
    return _for_chat(prompt, profile, server)


def told(prompt: Prompt, profile: Profile) -> tuple[Prompt, Reader | None]:
    """`prompt` in Chat, and who reads its stream; None: the answer comes whole."""
    timings = profile.kind == "llamacpp"
    if prompt.dialect != CHAT:
        conversation = _fitting(prompt, profile)
        custom = custom_tools(conversation)
        chat = as_chat(prompt, conversation, extras=profile.kind != "generic")
        return chat, Collecting(choices=prompt.choices, timings=timings, custom=custom)
    if not streams(prompt, profile):
        return prompt, None
    if not prompt.stream:
        return prompt, Collecting(choices=prompt.choices, timings=timings)
    if one_call_only(prompt):
        return prompt, Collecting(choices=prompt.choices, timings=timings)
    # Several choices begin in any order, and no probe says which: they are put in theirs.
    clean = profile.clean and prompt.choices == 1
    kind = StreamReader if clean else RepairReader
    return prompt, kind(wants_usage=prompt.wants_usage, choices=prompt.choices, timings=timings)


def _fitting(prompt: Prompt, profile: Profile) -> Conversation:
    """By a bound, since asking the server would cost a round trip: turns go sooner than they must,
    and never too late."""
    conversation = prompt.conversation()
    context_tokens = profile.abilities.context_tokens
    if not conversation.truncates or context_tokens is None:
        return conversation
    around = encode([[tool.name, tool.description, tool.parameters] for tool in conversation.tools])
    room = context_tokens - (prompt.output_tokens_max or 1) - len(around)
    return fitted(prompt, conversation, room, bytes_of)


def _for_chat(prompt: Prompt, profile: Profile, server: Server) -> Asking:
    chat, reader = told(prompt, profile)
    if profile.efforts is not None:
        chat = in_known_effort(chat, profile.efforts)
    check_media(chat)
    if profile.kind == "llamacpp" and names_tools(chat):
        losses = Losses(prompt.compatibility)
        losses.map("tool_choice", "it knows no choice by name; it is offered those tools alone")
        losses.tell(prompt)
    whole = read_answer if profile.clean else repair_answer
    told_why = prompt.dialect != CHAT and "stop" in chat.fields
    return Asking(
        server.chat_target,
        request_body(chat, profile, told_why=told_why),
        reader,
        whole,
        _ANSWER_BYTES_MAX,
        promises=of_chat(chat, prompt.dialect, grammar=profile.kind != "generic"),
    )


def _for_completions(prompt: Prompt, profile: Profile, server: Server) -> Asking:
    reader: Reader | None = None
    if profile.kind == "llamacpp":
        said = completions.for_events(prompt)
        reader = FromCompletions(choices=prompt.choices)
    else:
        said = completions.bounded(prompt)
        if prompt.stream:
            reader = completions.CompletionsReader(
                wants_usage=prompt.wants_usage, choices=prompt.choices
            )
    return Asking(
        server.completions_target,
        request_body(said, replace(profile, running_usage=False)),
        reader,
        completions.read_completion,
        _ANSWER_BYTES_MAX,
        optional=True,
    )


def _say_it_is_chat(prompt: Prompt) -> None:
    """Raises: Refusal, where the key is strict."""
    losses = Losses(prompt.compatibility)
    losses.map("prompt", "it has no Completions, and would be told it as a user's message")
    losses.tell(prompt)


def _for_vectors(prompt: Prompt, profile: Profile, server: Server) -> Asking:
    return Asking(
        server.embeddings_target,
        vectors_body(prompt, profile),
        None,
        partial(embeddings.read_vectors, prompt=prompt),
        _VECTORS_BYTES_MAX,
        optional=True,
    )
