"""URLs that somebody else gave, and that lead inside: by themselves, behind redirects, as webhooks.

`ssrf.jsonl` has them, each with its reason.  A listener on this machine counts who comes: nobody may.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portico.billing.alerts.model import Delivery
from portico.billing.alerts.webhook import Webhooks
from portico.kit.clock import SystemClock
from portico.kit.dial import Streams, connected
from portico.kit.egress import Refused, resolved
from portico.kit.fetch import Fetcher, FetchFailed, Limits
from tests.kit.listening import listening

pytestmark = pytest.mark.anyio

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parent / "ssrf.jsonl").read_text(encoding="ascii").splitlines()
]
OUTSIDE = frozenset({"93.184.215.14", "2606:4700::1"})
START = "http://start.example/"
NUMBERS = re.compile(r"[0-9a-fx.:%]+|\[.*\]|localhost\.?", re.IGNORECASE)


@dataclass
class World:
    """port: where the listener inside waits.  far_port: a server that stands for all outside.

    visits: connections that came to the listener.  strayed: addresses inside that were dialled.
    dialled: addresses outside that were.  location: where the server outside redirects to, so often.
    """

    port: int
    far_port: int
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    visits: list[Any] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    location: str = ""
    hops: int = 0

    async def resolve(self, host: str, port: int) -> list[str]:
        answers = self.names.get(host)
        if answers is not None:
            return answers.pop(0) if len(answers) > 1 else answers[0]
        if NUMBERS.fullmatch(host):
            return await resolved(host, port)  # in all their forms, as the machine reads them
        raise OSError("nobody knows that name")

    async def connect(self, address: str, port: int, tls: object, name: str | None) -> Streams:
        if address in OUTSIDE:
            self.dialled.append(address)
            return await connected("127.0.0.1", self.far_port, None, None)
        self.strayed.append(address)
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return await connected(address, self.port, None, None)
        raise OSError("the tests go no further")

    def fetcher(self) -> Fetcher:
        ports = frozenset({80, 443, self.port})
        limits = Limits(1_000, 5.0, http=True, ports=ports)
        return Fetcher(limits, resolve=self.resolve, connect=self.connect)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.visits.append(writer.get_extra_info("peername"))
        writer.close()

    async def outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        made.hops -= 1
        location = made.location if made.hops <= 0 else START
        writer.write(
            b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: "
            + location.encode("utf-8", "replace")
            + b"\r\n\r\n"
        )
        writer.close()

    async with listening(inside) as port, listening(outside) as far_port:
        made = World(port, far_port)
        yield made


def given(entry: dict[str, Any], world: World) -> str:
    """The URL, with the listener's port; its names are known from then on."""
    url: str = entry["url"].replace("{port}", str(world.port))
    names = {"x.example": [["93.184.215.14"]], "start.example": [["93.184.215.14"]]}
    if "dns" in entry:
        host = entry["url"].partition("://")[2].partition("/")[0].partition(":")[0]
        names[host] = [list(answer) for answer in entry["dns"]]
    world.names = names
    return url


def rebinds(entry: dict[str, Any]) -> bool:
    return len(entry.get("dns", ())) > 1


def test_the_corpus_is_as_large_as_promised_and_says_why() -> None:
    assert len({entry["url"] for entry in CORPUS}) == len(CORPUS) >= 150
    assert all(entry["why"] for entry in CORPUS)
    assert sum(rebinds(entry) for entry in CORPUS) >= 3


async def test_the_listener_counts_and_the_world_outside_answers() -> None:
    async with world() as there:
        there.names = {"start.example": [["93.184.215.14"]]}
        there.location = START
        with pytest.raises(FetchFailed, match="redirected"):
            await there.fetcher().get(START)
        assert len(there.dialled) == 4
        reader, writer = await there.connect("127.0.0.1", there.port, None, None)
        await reader.read()
        writer.close()
        assert (len(there.visits), there.strayed) == (1, ["127.0.0.1"])


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: f"{entry['why']} {entry['url']!a}")
async def test_nothing_inside_is_connected_to(entry: dict[str, Any]) -> None:
    async with world() as there:
        url = given(entry, there)
        for hops in (0, 1, 3):
            given(entry, there)
            there.location, there.hops = url, hops
            with pytest.raises((Refused, FetchFailed)):
                await there.fetcher().get(START if hops else url)
        given(entry, there)
        webhooks = Webhooks(b"s" * 32, SystemClock(), timeout_s=0.5, resolve=there.resolve)
        for scheme in ("http", "https"):
            target = re.sub(r"^http:", f"{scheme}:", url)
            if not rebinds(entry):  # what it dials then is outside, for good
                sent = await webhooks.send(Delivery("d", "webhook", target, 1, "", "{}"))
                assert not sent.delivered
        assert there.strayed == []
        assert there.visits == []


@pytest.mark.parametrize(
    "entry", [each for each in CORPUS if rebinds(each)], ids=lambda e: e["why"]
)
async def test_a_name_is_looked_up_once_for_each_connection(entry: dict[str, Any]) -> None:
    """And so what was checked is what is dialled, whatever the name says a moment later."""
    async with world() as there:
        url = given(entry, there)
        there.location = url  # to itself: looked up anew, and inside by then
        with pytest.raises((Refused, FetchFailed)):
            await there.fetcher().get(url)
        outer = [answer for answer in entry["dns"] if set(answer) <= OUTSIDE]
        assert len(there.dialled) == len(outer)
        assert there.strayed == []
