"""Limits per minute, what a request takes of them, and what is left.  Pure."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Meter = Literal["requests", "input_tokens", "output_tokens"]
METERS: tuple[Meter, ...] = ("requests", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what a scope may take in any minute; None: no limit of this kind here.

    scope: key, project, organisation or installation.  model: "" for all models together.
    input_tokens_per_minute: of those that are not read from a cache.
    requests_at_once: running or waiting.
    """

    scope: str
    scope_id: str
    model: str
    requests_per_minute: int | None
    input_tokens_per_minute: int | None
    output_tokens_per_minute: int | None
    requests_at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What is counted together: one meter of one rule.  limit: in any 60 s."""

    rule: Rule
    meter: Meter
    limit: int
    name: str = field(compare=False)
    """Where it is counted, the same on every server."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """A limit on requests that run or wait.  name: of what is limited; whose: for people."""

    name: str
    whose: str
    most: int


class Count(msgspec.Struct, frozen=True):
    """Where a window stands after a request was counted, or refused.  (A msgspec struct, as all
    that is made once per request.)

    slot: in which slice of time it was counted, by whoever counted; here: by this process.
    wait_s: until a refused request would fit; 0 for one that fitted.
    share: this server kept to so small a part of the limit; 1: it was the whole limit that counted.
    used: of what counted.
    """

    used: int
    slot: int
    here: int
    wait_s: float
    share: int = 1


class Left(msgspec.Struct, frozen=True):
    """Of the limit of a meter that is nearest to its end; `limit` is what counted, so this server's
    share while it keeps to one.  reset_s: until nothing is used; of one that a request did not fit
    into, until it does."""

    limit: int
    remaining: int
    reset_s: float


class Standing(msgspec.Struct, frozen=True):
    """What is left of each meter's limits, as headers tell it; None: no limit.
    at_ms: when that was, wall clock."""

    at_ms: int
    requests: Left | None = None
    input_tokens: Left | None = None
    output_tokens: Left | None = None
