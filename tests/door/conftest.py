from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog.testing


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop the product runs on: the door's timing and flow control depend on it."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the door logged."""
    with structlog.testing.capture_logs() as lines:
        yield lines
