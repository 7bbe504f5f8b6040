"""Thoughts go out sealed and come back open; nobody else's are touched, and no spoilt one passes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.conversation import Item, Message, TextPart, Thought
from portico.canon.delta import Delta, Event, Finished, Reasoning, Sealed, Text
from portico.dialects.openai_responses.answers.writer import Writers
from portico.dialects.openai_responses.opening import KEEP_DAYS, Seals
from portico.dialects.openai_responses.parse import Parser
from portico.errors import Refusal
from portico.kit.sealing import Seal

from .bodies import Calendar, call, encoded, says

INCLUDE = ["reasoning.encrypted_content"]


class Server:
    """Writes and reads with one secret, at a time that can be moved."""

    def __init__(self, secret: bytes = b"s" * 32) -> None:
        self.clock = Calendar()
        self._seals = Seals(Seal([secret]), self.clock)
        self._parser = Parser(self._seals)

    def says(self, *events: Event, **fields: Any) -> list[dict[str, Any]]:
        prompt = self._parser.create(encoded(include=INCLUDE, **fields), {})
        answer = Writers(self._seals, self.clock).of(prompt, "req_7", self.clock.now_s)
        body = answer.write(Delta(events=(*events, Finished("stop")), last=True))
        output: list[dict[str, Any]] = json.loads(body)["output"]
        return output

    def hears(self, *items: Any) -> tuple[Item, ...]:
        prompt = self._parser.create(encoded(input=list(items)), {})
        conversation = prompt.conversation()
        assert json.loads(prompt.body)["model"] == "m"
        return conversation.items


@pytest.mark.parametrize("reasoning", [None, {"summary": "auto"}])
def test_our_own_thoughts_come_back(reasoning: Any) -> None:
    server = Server()
    thought, message = server.says(Reasoning("Let me see."), Text("Hi"), reasoning=reasoning)
    assert "Let me see" not in thought["encrypted_content"]
    assert server.hears(thought, message) == (
        Thought("Let me see."),
        Message("assistant", (TextPart("Hi"),)),
    )


def test_a_thought_comes_back_from_its_seal_alone() -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Let me see."))
    bare = {"type": "reasoning", "encrypted_content": thought["encrypted_content"]}
    assert server.hears(bare) == (Thought("Let me see."),)


@pytest.mark.parametrize("issuer", ["anthropic", "gemini"])
def test_what_a_provider_sealed_goes_back_to_it_byte_for_byte(issuer: str) -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Hm."), Sealed("EqQB+/=", issuer))
    assert server.hears(thought) == (Thought("Hm.", "EqQB+/=", issuer),)


def test_a_sealed_thought_without_words() -> None:
    server = Server()
    first, second = server.says(Sealed("AAAA", "anthropic"), Sealed("BBBB", "anthropic"))
    assert server.hears(first, second) == (
        Thought("", "AAAA", "anthropic"),
        Thought("", "BBBB", "anthropic"),
    )


@given(st.text(st.sampled_from("ABCabc012+/=_-."), min_size=1))
def test_what_openai_sealed_is_not_touched(blob: str) -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": blob}
    assert Server().hears(item) == (Thought("", blob, "openai"),)


def refusal_of(server: Server, *items: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        server.hears(*items)
    return caught.value


@pytest.mark.parametrize("at", [4, 30, -2])
def test_a_changed_seal_is_refused(at: int) -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Let me see."))
    blob = list(thought["encrypted_content"])
    blob[at] = "A" if blob[at] != "A" else "B"
    thought["encrypted_content"] = "".join(blob)
    refusal = refusal_of(server, says("Hi"), thought)
    assert (refusal.code, refusal.field) == ("sealed_item_invalid", "input[1].encrypted_content")
    assert "without this item" in refusal.remedy


def test_another_servers_seal_is_refused() -> None:
    (thought,) = Server(b"x" * 32).says(Reasoning("Let me see."))
    assert refusal_of(Server(), thought).code == "sealed_item_invalid"


def test_a_seal_of_another_purpose_is_refused() -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Let me see."))
    item = {"type": "compaction", "encrypted_content": thought["encrypted_content"]}
    assert refusal_of(server, item).code == "sealed_item_invalid"


def test_an_old_seal_is_refused_and_says_when_it_ended() -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Let me see."))
    assert thought["portico_expires_at"] == server.clock.now_s + KEEP_DAYS * 86_400
    server.clock.now_s = thought["portico_expires_at"] - 1
    assert server.hears(thought) == (Thought("Let me see."),)
    server.clock.now_s += 1
    refusal = refusal_of(server, thought)
    assert (refusal.code, refusal.value) == ("sealed_item_expired", "2023-12-14T22:13:20Z")
    assert "without this item" in refusal.remedy


def test_the_place_of_an_item_is_told_as_it_was_sent() -> None:
    server = Server()
    (thought,) = server.says(Reasoning("Let me see."))
    assert refusal_of(server, thought, call("c1")).field == "input[1].call_id"
