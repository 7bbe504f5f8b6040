"""What a test's own server leaves behind is a warning in a test that has nothing to do with it."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.kit.listening import listening

TESTS = Path(__file__).parents[1]
OWN = {"kit/listening.py", "kit/test_listening.py", "engines/transport/upstream.py"}
"""The last one counts its connections, and waits for each of them."""


@pytest.mark.anyio
async def test_a_connection_is_over_with_its_server_whoever_still_waits() -> None:
    begun = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()

    async with listening(waits) as port:
        client = socket.create_connection(("127.0.0.1", port))
        await begun.wait()
    with client:
        client.settimeout(10)
        assert client.recv(1) == b""


@pytest.mark.anyio
async def test_what_goes_wrong_in_it_fails_the_test() -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        raise AssertionError("nobody should come")

    async def visit() -> None:
        async with listening(wrong) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.read()
            writer.close()

    with pytest.raises(AssertionError, match="nobody should come"):
        await visit()


def test_no_test_starts_one_of_its_own() -> None:
    starts = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if "asyncio.start_server(" in path.read_text()
    }
    assert starts <= OWN
