"""Every simulated model and the engine behind it."""

import asyncio

from portico.engines.base import Engine
from portico.engines.simulated.embedding import NAME, SimulatedEmbedder
from portico.engines.simulated.engine import CONCURRENCY_MAX, SimulatedEngine, Sleep
from portico.engines.simulated.models import MODELS
from portico.kit.clock import Clock


def fleet(
    clock: Clock, sleep: Sleep = asyncio.sleep, concurrency_max: int = CONCURRENCY_MAX
) -> list[tuple[str, Engine]]:
    """`sim-auto` first."""
    return [
        *((name, SimulatedEngine(name, clock, sleep, concurrency_max)) for name in MODELS),
        (NAME, SimulatedEmbedder(clock, sleep, concurrency_max)),
    ]
