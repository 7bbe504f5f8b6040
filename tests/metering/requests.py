"""Requests as metering meets them."""

import itertools
from dataclasses import dataclass

from portico.admission.holds import Purse
from portico.callers.model import Caller
from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.kit.clock import SystemClock
from portico.metering.service import Keeper, Metering, OpenRecord
from portico.replay.claim import Claim

CALLER = Caller("key_1", "proj_1", "org_1", "live", 8)
PROMPT = Prompt(
    dialect="openai_chat",
    model="demo",
    stream=True,
    body=b"",
    fields={},
    wants_usage=False,
    choices=1,
    output_tokens_max=None,
    input_tokens_guess=7,
    needs=frozenset(),
    conversation=lambda: Conversation(()),
)
LAST = Delta(meters=Meters(input_text=11, output_text=5), last=True, finish="stop")

_numbers = itertools.count()


@dataclass
class Arrival:
    request_id: str
    arrived_s: float
    claim: Claim | None = None
    keeper: Keeper | None = None


@dataclass
class Permit:
    queue_ms: int = 0
    purse: Purse | None = None


def open_one(metering: Metering, caller: Caller = CALLER, request_id: str = "") -> OpenRecord:
    arrival = Arrival(request_id or f"req_{next(_numbers)}", SystemClock().monotonic_s())
    record = metering.open(arrival, caller, PROMPT, Permit())
    record.deployment = "embedded/demo"
    return record


async def complete_one(metering: Metering, caller: Caller = CALLER) -> str:
    record = open_one(metering, caller)
    record.count(LAST)
    await metering.settle(record, "completed")
    return record.id
