"""What the operator says of a guard, read or refused in one sentence."""

from typing import Any

import pytest

from portico.app.failure import CannotStart
from portico.app.judging.moderating import moderation_of
from portico.kit.clock import SystemClock
from portico.settings import load
from portico.settings.load import SettingsInvalid

URL = "http://127.0.0.1:9/v1"
NOTHING: Any = type("Books", (), {"rates": None})()


def made(**settings: str) -> tuple[str, ...]:
    environment = {f"PORTICO_MODERATION_{name.upper()}": said for name, said in settings.items()}
    loaded = load(environment=environment)
    return moderation_of(loaded, NOTHING, NOTHING, NOTHING, SystemClock()).models


def test_without_a_guard_the_rules_judge_alone() -> None:
    assert made() == ("portico-rules-1",)


def test_a_guard_has_its_model_s_name_or_none() -> None:
    assert made(guard_url=URL)[-1] == "portico-rules-1+guard"
    assert made(guard_url=URL, guard_model="omni")[-1] == "portico-rules-1+omni"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"guard_url": "ftp://x"}, r"guard_url: an upstream URL starts"),
        ({"guard_speaks": "llama_guard"}, r"guard_model: a chat model"),
        (
            {"guard_speaks": "llama_guard", "guard_model": "m", "guard_images": "true"},
            r"guard_images",
        ),
        (
            {"guard_speaks": "llama_guard", "guard_model": "m", "guard_categories": "S1=rude"},
            r"guard_categories: 'rude' is no category",
        ),
    ],
)
def test_a_guard_that_cannot_be_keeps_the_server_from_starting(
    settings: dict[str, str], why: str
) -> None:
    with pytest.raises(CannotStart, match=why):
        made(**{"guard_url": URL, **settings})


def test_the_guard_s_key_is_never_shown() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load(environment={}, flags={"moderation": {"guard_api_key": 3}})
    assert "(hidden)" in str(refused.value)
