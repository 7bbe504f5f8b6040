"""Into a WebSocket, and whatever comes as frames: a typed end, never a crash."""

import asyncio
import json
import struct

import pytest

from portico.door.sockets.socket import SocketLimits
from tests.door.hall import (
    ACCEPT,
    HOME,
    Gate,
    Hall,
    answer,
    closed,
    create,
    frame,
    heard,
    joined,
    opening,
    repeats,
)
from tests.door.scene import PATIENT_S, Scene, Wire, limits

pytestmark = pytest.mark.anyio

# -- the way in ------------------------------------------------------------------------------


async def test_101_says_what_the_rfc_wants_and_agrees_on_no_extension() -> None:
    async with Hall(repeats()).open() as scene:
        wire = await scene.connect()
        await wire.send(opening(Sec_WebSocket_Extensions="permessage-deflate"))
        got = await wire.answer(head_only=True)
        assert (got.status, got.headers["sec-websocket-accept"]) == (101, ACCEPT)
        assert got.headers["upgrade"] == "websocket"
        assert got.headers["x-request-id"].startswith("req_")
        assert "sec-websocket-extensions" not in got.headers
        assert "content-length" not in got.headers


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"Upgrade": None, "Connection": None}, 426, "upgrade_required"),
        ({"Upgrade": "h2c"}, 426, "upgrade_required"),
        ({"Connection": "close"}, 426, "upgrade_required"),
        ({"Sec_WebSocket_Version": "8"}, 426, "upgrade_required"),
        ({"Sec_WebSocket_Version": None}, 426, "upgrade_required"),
        ({"Sec_WebSocket_Key": None}, 400, "bad_request"),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400, "bad_request"),
        ({"Sec_WebSocket_Key": "é" * 24}, 400, "bad_request"),
        ({"Content_Length": "2"}, 426, "upgrade_required"),
        ({"Origin": "https://evil.test"}, 403, "origin_not_allowed"),
        ({"Authorization": "Bearer pk_bad"}, 401, "invalid_api_key"),
    ],
    ids=str,
)
async def test_refused(changed: dict[str, str | None], status: int, code: str) -> None:
    hall = Hall(repeats())
    async with hall.open() as scene:
        wire = await scene.connect()
        body = b"{}" if "Content_Length" in changed else b""
        await wire.send(opening(body, **changed))
        got = await wire.answer()
        assert (got.status, got.code) == (status, code)
        if status == 426:
            assert got.headers["upgrade"] == "websocket"
            assert got.headers["sec-websocket-version"] == "13"
        assert hall.sockets.count == 0


@pytest.mark.parametrize("origin", [HOME, "http://door.test"])
async def test_101_for_pages_that_are_let_in_or_at_home(origin: str) -> None:
    async with Hall(repeats()).open() as scene:
        wire = await scene.connect()
        await wire.send(opening(Origin=origin))
        assert (await wire.answer(head_only=True)).status == 101


@pytest.mark.parametrize("version", ["13", "12"], ids=["taken", "refused"])
async def test_what_follows_the_opening_is_never_read_as_http(version: str) -> None:
    hall = Hall(repeats())
    smuggled = opening(path="/v1/responses?smuggled")
    async with hall.open() as scene:
        wire = await scene.connect()
        await wire.send(opening(Sec_WebSocket_Version=version) + smuggled)
        await wire.rest()
        wire.hang_up()
        await scene.everybody_gone()
        assert len(hall.watching.answered_) == 1


async def test_frames_sent_with_the_opening_are_read() -> None:
    async with Hall(repeats()).open() as scene:
        wire = await scene.connect()
        await wire.send(opening() + frame(create().encode()))
        assert b"response.completed" in await wire.read_until(b"response.completed")


async def test_not_behind_requests_that_are_still_answered() -> None:
    """Frames may come while the key is looked up, and while others wait: a bounded number."""
    hall = Hall(repeats())
    async with hall.open() as scene:
        wire = await scene.connect()
        early = b"".join(frame(create().encode()) for _ in range(3))
        await wire.send(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n" + opening() + early)
        assert (await wire.answer()).status == 404
        assert (await wire.answer(head_only=True)).status == 101
        for _ in range(3):
            await wire.read_until(b'"type":"response.completed"')


async def test_429_and_503_for_more_than_may_be_open() -> None:
    hall = Hall(repeats(), SocketLimits(per_key_max=2, connections_max=3))
    async with hall.open() as scene:
        async with joined(scene), joined(scene):
            await hall.until(lambda: hall.sockets.count == 2)
            wire = await scene.connect()
            await wire.send(opening())
            assert (await wire.answer()).code == "concurrency_exceeded"
        await hall.until(lambda: hall.sockets.count == 0)
        async with joined(scene) as again:
            await again.send(create())
            assert (await answer(again))[-1]["type"] == "response.completed"
    full = Hall(repeats(), SocketLimits(connections_max=0))
    async with full.open() as scene:
        wire = await scene.connect()
        await wire.send(opening())
        assert (await wire.answer()).code == "overloaded"


# -- frames ----------------------------------------------------------------------------------


async def after(scene: Scene, data: bytes) -> tuple[bytes, int]:
    """What is answered to these bytes, and the code it is closed with; 0 without one."""
    wire: Wire = await scene.connect()
    await wire.send(opening())
    assert (await wire.answer(head_only=True)).status == 101
    await wire.send(data)
    said = await wire.rest()
    wire.hang_up()
    at = said.rfind(b"\x88")
    return said, struct.unpack("!H", said[at + 2 : at + 4])[0] if at >= 0 else 0


HOSTILE = {
    "unmasked": (frame(b"{}", masked=False), 1002),
    "an opcode of nobody": (frame(b"{}", opcode=3), 1002),
    "reserved bits": (frame(b"{}", bits=0x40), 1002),
    "compressed, which nobody agreed on": (frame(b"\xaa\x02\x00", bits=0x40), 1002),
    "a continuation of nothing": (frame(b"{}", opcode=0), 1002),
    "a message in a message": (frame(b"{", fin=False) + frame(b"}"), 1002),
    "a ping in parts": (frame(b"x", opcode=9, fin=False), 1002),
    "a ping that is too long": (frame(b"x" * 126, opcode=9), 1002),
    "a close of one byte": (frame(b"\x03", opcode=8), 1002),
    "a close with a code of nobody": (frame(struct.pack("!H", 999), opcode=8), 1002),
    "a close whose reason is no text": (frame(b"\x03\xe8\xff", opcode=8), 1007),
    "binary": (frame(b"{}", opcode=2), 1003),
    "no UTF-8": (frame(b'{"type": "\xff"}'), 1007),
    "no UTF-8 across parts": (frame(b'"\xc3', fin=False) + frame(b'("', opcode=0), 1007),
    "half a surrogate": (frame(b'"\xed\xa0\x80"'), 1007),
    "larger than a body may be": (b"\x81\xff" + struct.pack("!Q", 1 << 40), 1009),
    "larger, in parts": (frame(b"x" * 90_000, fin=False) + frame(b"x" * 90_000, opcode=0), 1009),
    "a flood of pings": (frame(opcode=9) * 2_000, 1008),
    "a flood of pongs": (frame(opcode=10) * 2_000, 1008),
    "a flood of empty parts": (frame(fin=False) + frame(opcode=0, fin=False) * 2_000, 1008),
    "a flood of nonsense": (frame(b"{}") * 2_000, 1008),
    "goodbye": (frame(struct.pack("!H", 1000), opcode=8), 1000),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_frames_close_with_their_code(name: str) -> None:
    data, code = HOSTILE[name]
    hall = Hall(repeats())
    async with hall.open(limits(body_bytes_max=100_000)) as scene:
        said, given = await after(scene, data)
        assert given == code
        assert len(said) < 200_000
        await scene.everybody_gone()
        assert (hall.sockets.count, scene.edge.bodies_bytes) == (0, 0)
        async with joined(scene) as socket:  # it serves on
            await socket.send(create())
            assert (await answer(socket))[-1]["type"] == "response.completed"


async def test_pings_are_answered_while_an_answer_is_made() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.socket() as (_, socket):
        await socket.send(create())
        await hall.until(lambda: hall.engine.running == 1)
        for _ in range(20):
            async with asyncio.timeout(PATIENT_S):
                await (await socket.ping())
        gate.go.set()
        assert (await answer(socket))[-1]["type"] == "response.completed"


@pytest.mark.parametrize("step", [1, 2, 3, 7])
async def test_frames_cut_anywhere_are_the_same_requests(step: int) -> None:
    hall = Hall(repeats())
    whole = create("größer").encode()
    data = (
        frame(whole[:20], fin=False)
        + frame(b"hello", opcode=9)
        + frame(whole[20:-9], opcode=0, fin=False)
        + frame(whole[-9:], opcode=0)
        + frame(create("second").encode())
    )
    async with hall.open() as scene:
        wire = await scene.connect()
        await wire.send(opening())
        await wire.answer(head_only=True)
        for start in range(0, len(data), step):
            await wire.send(data[start : start + step])
            await asyncio.sleep(0)
        for _ in range(2):
            await wire.read_until(b'"type":"response.completed"')
    assert [json.loads(asked.body)["input"] for asked in hall.engine.asked] == ["größer", "second"]


async def test_503_when_large_messages_are_all_that_can_be_held() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.open(limits(bodies_bytes_max=150_000)) as scene:
        first, second = await joined(scene), await joined(scene)
        await first.send(create("x" * 90_000))
        await hall.until(lambda: hall.engine.running == 1)
        assert scene.edge.bodies_bytes > 90_000
        await second.send(create("x" * 90_000))
        events = [await heard(second)]
        while events[-1]["type"] != "error":
            events.append(await heard(second))
        assert events[-1]["error"]["code"] == "overloaded"
        assert await closed(second) == 1013
        gate.go.set()
        assert (await answer(first))[-1]["type"] == "response.completed"
        await hall.until(lambda: scene.edge.bodies_bytes == 0)
        await first.close()
