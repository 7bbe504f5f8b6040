"""One `portico serve` with the simulated models and nothing else, shared by the run."""

from collections.abc import Iterator

import pytest

from tests.whole.conftest import Served, end, serve, start


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(
        tmp_path_factory.mktemp("guarded") / "data",
        "--simulated",
        env={
            "PORTICO_ENGINE_ENABLED": "false",
            # All of these tests come from one address, and most of their keys are wrong.
            "PORTICO_ADMIN_FAILURES_PER_MINUTE": "100000",
        },
    )
    yield running
    end(running)


__all__ = ["guarded", "serve"]
