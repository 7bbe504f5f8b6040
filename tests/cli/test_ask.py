"""What `portico ask` asks for."""

from typing import Any

import pytest

from portico.cli import ask


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of what would have been asked."""
    bodies: list[dict[str, Any]] = []

    async def _ask(_: object, __: object, body: dict[str, Any], *, json: bool) -> None:
        bodies.append(body)

    monkeypatch.setattr(ask, "_ask", _ask)
    return bodies


def test_the_likeliest_answer_unless_chance_is_wanted(sent: list[dict[str, Any]]) -> None:
    ask.ask("What is Portico?")
    ask.ask("What is Portico?", temperature=0.7)
    assert [body["temperature"] for body in sent] == [0, 0.7]


def test_limits_are_only_sent_when_given(sent: list[dict[str, Any]]) -> None:
    ask.ask("Hi")
    ask.ask("Hi", max_tokens=5, system="Be brief.")
    assert "max_completion_tokens" not in sent[0]
    assert sent[1]["max_completion_tokens"] == 5
    assert [message["role"] for message in sent[1]["messages"]] == ["system", "user"]
