"""Who holds a key that was revoked is refused within 5 s by every server, and cut off within 10 s."""

from pathlib import Path

import pytest

from bench.faults import revocation
from bench.faults.place import Address
from portico.db.database import open_database

pytestmark = [pytest.mark.anyio, pytest.mark.long]
"""It has to wait for those seconds; tests/whole/test_keys.py and tests/callers do not."""


async def test_every_server_refuses_it_and_every_stream_ends(
    database_url: str, tmp_path: Path
) -> None:
    open_database(tmp_path, database_url)
    servers = 2 if database_url else 1
    found = await revocation.run(
        Address(tmp_path, database_url), processes=servers, rate=100, streams=6
    )
    assert found.holds, found
    assert found.cut == 6
