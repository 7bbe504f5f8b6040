"""Which promises a request asks for.  Pure."""

from typing import Any

import msgspec

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.engines.base import Relay
from portico.engines.promises.calls import OneCall
from portico.engines.promises.shape import Shape

_OPENAI = "openai_"
"""Dialects in which a schema is strict only where it says so; in the others it always is."""


class Promises(msgspec.Struct, frozen=True):
    """Of one answer.

    one_call: it calls one tool at most.
    schema: what it must follow, where the engine may not see to that; None where nothing is to be
      checked.
    """

    one_call: bool = False
    schema: dict[str, Any] | None = None

    def kept(self, relay: Relay, choices: int) -> Relay:
        """A relay in front of `relay` that keeps them."""
        if self.schema is not None:
            relay = Shape(relay, self.schema).relay
        if self.one_call:
            relay = OneCall(relay, choices).relay
        return relay


NONE = Promises()


def of_chat(chat: Prompt, dialect: str, *, grammar: bool) -> Promises:
    """
    chat: the request as Chat.  dialect: in which it came.
    grammar: the engine makes its answers follow a schema.
    """
    if not chat.needs:
        return NONE
    one_call = one_call_only(chat)
    checks = "json_schema" in chat.needs and not grammar
    return Promises(one_call, _schema_of(chat, dialect) if checks else None)


def one_call_only(chat: Prompt) -> bool:
    """Does a Chat request say `parallel_tool_calls: false`?"""
    if "tools" not in chat.needs:
        return False
    said = chat.fields.get("parallel_tool_calls")
    return said is not None and bytes(said) == b"false"


def of_conversation(conversation: Conversation, dialect: str) -> Promises:
    """For a provider that is told it in another dialect than it came in."""
    one_call = conversation.parallel_calls is False and bool(conversation.tools)
    strict = _is_strict(conversation.output_strict, dialect)
    return Promises(one_call, conversation.output_schema or None if strict else None)


def _schema_of(chat: Prompt, dialect: str) -> dict[str, Any] | None:
    form = msgspec.json.decode(chat.fields.get("response_format", b"null"))
    named = form.get("json_schema") if isinstance(form, dict) else None
    if not isinstance(named, dict) or not _is_strict(named.get("strict"), dialect):
        return None
    return named.get("schema") or None


def _is_strict(said: bool | None, dialect: str) -> bool:
    return said is True or (said is None and not dialect.startswith(_OPENAI))
