"""A URL leads to the Internet, and to nothing that only we can reach."""

import ipaddress

import pytest

from portico.kit.egress import Refused, address_of, is_outside, place_of


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
        "::7f00:1", "::ffff:169.254.169.254", "::ffff:100.100.100.200", "64:ff9b::a9fe:a9fe",
        "64:ff9b::101:101", "2002:101:101::", "fd00:ec2::254", "fec0::1", "168.63.129.16",
        "::ffff:168.63.129.16", "100.100.100.200", "192.88.99.1",
        "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_inside_is_told_from_outside(address: str) -> None:
    assert not is_outside(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
)
def test_an_address_outside_is_one(address: str) -> None:
    assert is_outside(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "", "x.example", "ftp://x.example/", "file:///etc/passwd", "gopher://x.example/",
        "https://", "https:///path", "https://user@x.example/", "https://u:p@x.example/",
        "https://x.example/ HTTP/1.1\r\nx: y", "https://x.example/\n", "https://x.example:0x50/",
        "https://x.example:99999/", "https://éxample.com/", "http://[::1",
        "https://x.example\\@y.example/", "https:\\\\x.example/", "https://x.exam\tple/",
        "https://x .example/", "https://y.example@x.example#/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        place_of(url)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://x.example", "x.example", "/"),
        ("https://X.Example:443/a/b?c=d#e", "x.example", "/a/b?c=d"),
        ("http://x.example:8080/a", "x.example:8080", "/a"),
        ("https://[2606:4700::1]:444/", "[2606:4700::1]:444", "/"),
    ],
)
def test_what_a_url_says(url: str, authority: str, path: str) -> None:
    place = place_of(url)
    assert (place.authority, place.path) == (authority, path)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "0x7f.1", "2130706433", "127.1", "017700000001"],
)
async def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    place = place_of(f"http://{host}:9/")
    with pytest.raises(Refused, match="not an address on the Internet"):
        await address_of(place, private_allowed=False)
    assert await address_of(place, private_allowed=True)


@pytest.mark.anyio
@pytest.mark.parametrize("private_allowed", [False, True])
async def test_some_networks_are_never_connected_to_whatever_is_allowed(
    private_allowed: bool,
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["::ffff:169.254.169.254" if host == "mapped.example" else "169.254.169.254"]

    never = (ipaddress.ip_network("169.254.0.0/16"),)
    for host in ("x.example", "mapped.example"):
        place = place_of(f"https://{host}/")
        with pytest.raises(Refused, match="never"):
            await address_of(place, private_allowed=private_allowed, never=never, resolve=resolve)


@pytest.mark.anyio
async def test_what_a_name_means_inside_is_told_to_nobody() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.1.2.3"]

    with pytest.raises(Refused) as refused:
        await address_of(place_of("https://db.corp/"), private_allowed=False, resolve=resolve)
    assert "10.1" not in str(refused.value)
