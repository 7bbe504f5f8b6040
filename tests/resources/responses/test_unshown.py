"""What a provider sealed of a thought is kept for whoever goes on from there, though nobody is shown it."""

import json
from pathlib import Path
from typing import Any

import pytest

from portico.canon.conversation import Thought
from portico.canon.delta import Delta, Finished, Reasoning, Sealed, Text
from portico.db.database import open_database
from portico.dialects.body import KEPT, PROJECT, STATE
from portico.dialects.openai_responses.answers.output import UNSHOWN
from portico.dialects.openai_responses.answers.writer import StreamWriter, WholeWriter, Writers
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.kit.sealing import Seal
from portico.resources.items import shown_items
from portico.resources.responses.service import shown
from tests.db.storage import HandClock
from tests.resources.attic import MINE, attic, number

pytestmark = pytest.mark.anyio
CLOCK = HandClock()
SEALS = Seals(Seal([b"s" * 32]), CLOCK)
ID = number(1)
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ISSUERS = pytest.mark.parametrize("issuer", ["anthropic", "openai"])


def answered(stream: bool, kept: str, issuer: str, **fields: Any) -> tuple[bytes, bytes]:
    """What was written, and what is kept."""
    body = json.dumps({"model": "m", "input": "Why?", "stream": stream, **fields}).encode()
    prompt = Parser(SEALS).create(body, {PROJECT: MINE.project_id, STATE: kept})
    writer: StreamWriter | WholeWriter = Writers(SEALS, CLOCK).of(prompt, f"req_{ID}", 1)
    events = (Reasoning("Hm."), Sealed("BLOB", issuer), Text("Because."), Finished("stop"))
    return writer.write(Delta(events=events, last=True)), writer.whole()


@STREAMED
@ISSUERS
async def test_it_is_kept_and_goes_back_to_who_sealed_it(
    tmp_path: Path, stream: bool, issuer: str
) -> None:
    written, whole = answered(stream, KEPT, issuer)
    assert b"encrypted_content" not in written
    assert UNSHOWN.encode() not in written
    async with attic(open_database(tmp_path, "")) as mine:
        mine.keep(f"resp_{ID}", made=json.loads(whole)["output"])
        turn = await mine.about(previous_response_id=f"resp_{ID}", input="And?")
    prompt = Parser(SEALS).create(turn.body, {PROJECT: MINE.project_id, STATE: ""})
    assert Thought("Hm.", "BLOB", issuer) in prompt.conversation().items


@ISSUERS
async def test_it_is_shown_to_who_asks_for_it_and_to_nobody_else(issuer: str) -> None:
    written, whole = answered(False, KEPT, issuer)
    assert json.loads(shown(whole, sealed=False)) == json.loads(written)
    asked = json.loads(shown(whole, sealed=True))["output"][0]
    assert (UNSHOWN in asked, bool(asked["encrypted_content"])) == (False, True)
    assert next(iter(shown_items(json.loads(whole)["output"]))) == json.loads(written)["output"][0]


@STREAMED
async def test_who_was_shown_it_finds_it_as_it_was(stream: bool) -> None:
    written, whole = answered(stream, KEPT, "anthropic", include=["reasoning.encrypted_content"])
    assert b"encrypted_content" in written
    assert UNSHOWN.encode() not in whole
    assert shown(whole, sealed=False) == whole


@STREAMED
async def test_where_nothing_is_kept_nothing_is_sealed(stream: bool) -> None:
    written, whole = answered(stream, "", "anthropic")
    assert b"encrypted_content" not in written + whole
