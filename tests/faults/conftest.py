import pytest

from bench.faults import site
from tests.warm.commands import warm


@pytest.fixture(autouse=True)
def _started_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drill starts several servers, which load the same things."""
    monkeypatch.setenv("WARM_PORTICO", warm().address)
    monkeypatch.setattr(site, "COMMAND", (str(warm().word),))
