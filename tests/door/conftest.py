import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop the product runs on: the door's timing and flow control depend on it."""
    return "asyncio", {"use_uvloop": True}
