"""Decoders for a test, and none left after it."""

from collections.abc import AsyncIterator

import pytest

from portico.media.model import Limits
from portico.media.service import Decoders


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    made = Decoders(Limits())
    yield made
    await made.close()
