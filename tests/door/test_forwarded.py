"""Whose request it is, where proxies stand in between: by the word of our own, and of nobody else."""

from ipaddress import ip_network

import pytest

from portico.door.exchange import Exchange
from portico.door.framing.forwarded import client_of, trusts
from portico.door.limits import EdgeLimits
from tests.door.scene import Watching, request, serving

OURS = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("", "10.0.0.1"),
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.0.0.9", "198.51.100.7"),
        ("127.0.0.1, 192.0.2.66, 198.51.100.7, 10.0.0.9", "198.51.100.7"),
        ("10.0.0.5, 10.0.0.9", "10.0.0.5"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2a00::7]:4711, [2001:db8::1]", "2a00::7"),
        ("2a00::7", "2a00::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, unknown", "10.0.0.1"),
        ("198.51.100.7, unknown, 10.0.0.9", "10.0.0.9"),
        ("198.51.100.7, ", "10.0.0.1"),
        ("a" * 10_000, "10.0.0.1"),
        ("10.0.0.1\xff", "10.0.0.1"),
    ],
)
def test_the_last_that_is_none_of_ours_is_the_client(said: str, client: str) -> None:
    headers = {b"x-forwarded-for": said.encode("latin-1")} if said else {}
    assert client_of("10.0.0.1", headers, OURS) == client


@pytest.mark.parametrize(
    ("peer", "ours"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("", False)],
)
def test_ours_are_told_from_others(peer: str, ours: bool) -> None:
    assert trusts(peer, OURS) == ours


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("proxies", "client"), [((), "127.0.0.1"), (("127.0.0.1/32",), "198.51.100.7")]
)
async def test_only_who_is_trusted_is_believed(proxies: tuple[str, ...], client: str) -> None:
    seen: list[str] = []

    async def serve(exchange: Exchange) -> None:
        seen.append(exchange.peer)
        exchange.reply(200, b"", b"")

    async with serving(serve) as scene:
        scene.edge.proxies = tuple(ip_network(each) for each in proxies)
        await scene.ask(request("/", b"", "X-Forwarded-For: 198.51.100.7"))
        assert seen == [client]


@pytest.mark.anyio
async def test_a_proxy_of_ours_may_hold_as_many_connections_as_it_needs() -> None:
    async def serve(exchange: Exchange) -> None:
        exchange.reply(200, b"", b"")

    limits = EdgeLimits(connections_per_ip_max=1, linger_s=0.2)
    async with serving(serve, limits, watching=Watching()) as scene:
        scene.edge.proxies = (ip_network("127.0.0.0/8"),)
        for _ in range(3):
            assert (await scene.ask(request())).status == 200
