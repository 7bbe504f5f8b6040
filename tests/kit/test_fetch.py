"""What is fetched comes from the Internet, whole and bounded; nothing inside is ever connected to."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from portico.kit.dial import Streams, connected
from portico.kit.egress import Refused, resolved
from portico.kit.fetch import Fetcher, FetchFailed, Limits
from tests.kit.listening import listening

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"
FILE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Net:
    """The outside, as a resolver and a dialler see it: every public address is one loopback
    server, and whatever is connected to is noted."""

    port: int
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    """Host to what the resolver says, look-up by look-up; the last one stays."""
    asked: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            return await resolved(
                host, port
            )  # numbers in all their forms, as the machine reads them
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def connect(self, address: str, port: int, tls: object, name: str | None) -> Streams:
        self.dialled.append(address)
        return await connected("127.0.0.1", self.port, None, None)

    def fetcher(self, **limits: object) -> Fetcher:
        given = {"bytes_max": 20_000, "total_s": 5.0, "http": True, **limits}
        return Fetcher(Limits(**given), resolve=self.resolve, connect=self.connect)  # type: ignore[arg-type]


@asynccontextmanager
async def outside(script: Script, **names: str) -> AsyncIterator[Net]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        net.requests.append(request)
        await script(request, writer)
        writer.close()

    async with listening(serve) as port:
        net = Net(port)
        net.names["x.example"] = [[PUBLIC]]
        yield net


def saying(data: bytes) -> Script:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


def answer(body: bytes, head: str = "", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body


async def test_a_file_is_fetched_from_the_address_that_was_looked_at() -> None:
    async with outside(saying(answer(FILE))) as net:
        assert await net.fetcher().get("http://x.example/a.png?b=c#d") == FILE
        assert net.dialled == [PUBLIC]
        (request,) = net.requests
        assert request.startswith(b"GET /a.png?b=c HTTP/1.1\r\nhost: x.example\r\n")
        assert b"cookie" not in request.lower()
        assert b"authorization" not in request.lower()


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 5\r\n\r\nabcde",
    ],
)
async def test_every_framing_is_read(wire: bytes) -> None:
    async with outside(saying(wire)) as net:
        assert await net.fetcher().get("http://x.example/") == b"abcde"


BROKEN = {
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "hangs up": b"",
    "hangs up in the head": b"HTTP/1.1 200 OK\r\ncontent-",
    "hangs up in the body": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
    "hangs up in a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
    "too long, as it says": b"HTTP/1.1 200 OK\r\ncontent-length: 20001\r\n\r\n",
    "too long, unsaid": b"HTTP/1.0 200 OK\r\n\r\n" + bytes(20_001),
    "too long, in chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5000\r\n"
    + bytes(0x5000)
    + b"\r\n0\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000,
    "compressed": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    "404": answer(b"", status="404 Not Found"),
    "a redirect to nowhere": answer(b"", status="302 Found"),
    "a redirect without end": answer(b"", "location: /again\r\n", "302 Found"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_is_no_file_is_none(kind: str) -> None:
    async with outside(saying(BROKEN[kind])) as net:
        with pytest.raises(FetchFailed):
            await net.fetcher().get("http://x.example/")
        assert len(net.requests) <= 4


async def test_a_server_that_trickles_is_left_in_time() -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        await asyncio.get_running_loop().create_future()

    async with outside(script) as net:
        with pytest.raises(FetchFailed, match="longer than"):
            await net.fetcher(total_s=0.05).get("http://x.example/")


# --- where it may lead -------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0177.0.0.1",
    "0", "0.0.0.0", "localhost", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "192.88.99.1", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::ffff:10.0.0.1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:db8::1]",
    "[fc00::1]", "[fd00:ec2::254]", "[fd12:3456::1]", "[fe80::1]", "[fe80::1%25lo]",
    "[fec0::1]", "[ff02::1]", "[100::1]",
]  # fmt: skip
SHAPES = ["http://{}/", "https://{}/latest/meta-data/", "http://{}:443/x"]
CONFUSING = [
    "http://x.example\\@127.0.0.1/", "http://127.0.0.1\\@x.example/", "http:\\\\127.0.0.1/",
    "http://x.example@127.0.0.1/", "http://127.0.0.1@x.example/", "http://x:y@127.0.0.1/",
    "http://x.example #@127.0.0.1/", "http://127.0.0.1 .x.example/", "http://x.exa\tmple/",
    "http://127.0.0.1\t.x.example/", "http://x.example\r\nhost: y/", "http://\u2460.example/",
    "http://127\u30020\u30020\u30021/", "http:///127.0.0.1/", "http://", "https:127.0.0.1",
    "//127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://x.example/",
    "dict://127.0.0.1:11211/", "unix:///run/x.sock", "data:image/png;base64,AAAA", "jar:http://x!/",
    "http://[::1", "http://[127.0.0.1]/", "http://x.example:22/", "http://x.example:6379/",
    "http://x.example:8080/", "http://x.example:0/", "http://x.example:99999/",
    "http://127.0.0.1:80#@x.example/", "http://127.0.0.1?@x.example/",
    "http://x.example:80@127.0.0.1/", "http://[::ffff:127.0.0.1]:80@x.example/",
]  # fmt: skip
CORPUS = [shape.format(host) for host in INSIDE for shape in SHAPES] + CONFUSING


@pytest.mark.parametrize("url", CORPUS)
async def test_edge_25_nothing_inside_is_ever_connected_to(url: str) -> None:
    async with outside(saying(answer(FILE))) as net:
        with pytest.raises((Refused, FetchFailed)):
            await net.fetcher().get(url)
        assert net.dialled == []
        assert net.requests == []


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(set(CORPUS)) >= 150


async def test_one_inner_address_among_outer_ones_is_refused() -> None:
    async with outside(saying(answer(FILE))) as net:
        net.names["x.example"] = [[PUBLIC, "10.0.0.1"]]
        with pytest.raises(Refused):
            await net.fetcher().get("http://x.example/")
        assert net.dialled == []


async def test_a_name_that_changes_its_mind_is_looked_up_once() -> None:
    """DNS rebinding: public when checked, private when connected to."""
    async with outside(saying(answer(FILE))) as net:
        net.names["x.example"] = [[PUBLIC], ["127.0.0.1"]]
        assert await net.fetcher().get("http://x.example/") == FILE
        assert net.asked == ["x.example"]
        assert net.dialled == [PUBLIC]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/", "http://169.254.169.254/latest/", "//10.0.0.1/", "http://[::1]/",
        "http://inner.example/", "file:///etc/passwd", "http://x.example:22/",
        "http://user@x.example/", "http://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
async def test_a_redirect_is_checked_from_the_start(location: str) -> None:
    async with outside(saying(answer(b"", f"location: {location}\r\n", "302 Found"))) as net:
        net.names["inner.example"] = [["192.168.1.1"]]
        with pytest.raises((Refused, FetchFailed)):
            await net.fetcher().get("http://x.example/")
        assert net.dialled == [PUBLIC]


async def test_a_redirect_to_a_name_that_changed_its_mind_is_refused() -> None:
    async with outside(saying(answer(b"", "location: /again\r\n", "307 Again"))) as net:
        net.names["x.example"] = [[PUBLIC], ["127.0.0.1"]]
        with pytest.raises(Refused):
            await net.fetcher().get("http://x.example/")
        assert net.dialled == [PUBLIC]


@pytest.mark.parametrize("hops", [1, 3])
async def test_redirects_are_followed_to_their_end(hops: int) -> None:
    left = hops

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        left -= 1
        more = answer(b"", "location: /next\r\n", "301 Moved")
        writer.write(more if left >= 0 else answer(FILE))

    async with outside(script) as net:
        assert await net.fetcher().get("http://x.example/") == FILE
        assert len(net.dialled) == hops + 1


async def test_without_tls_only_where_it_is_allowed() -> None:
    async with outside(saying(answer(FILE))) as net:
        with pytest.raises(Refused, match="https"):
            await net.fetcher(http=False).get("http://x.example/")
        assert net.dialled == []


async def test_the_operators_own_networks_are_refused_too() -> None:
    never = (ipaddress.ip_network("93.184.215.0/24"),)
    for address in (PUBLIC, f"::ffff:{PUBLIC}"):
        async with outside(saying(answer(FILE))) as net:
            net.names["x.example"] = [[address]]
            with pytest.raises(Refused):
                await net.fetcher(never=never).get("http://x.example/")
            assert net.dialled == []


async def test_a_name_nobody_knows_is_no_file() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    fetcher = Fetcher(Limits(1_000, 1.0), resolve=nobody)
    with pytest.raises(FetchFailed, match="reached"):
        await fetcher.get("https://nobody.example/")
