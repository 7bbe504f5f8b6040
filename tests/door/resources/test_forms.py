"""multipart/form-data gives the same file however it is cut, and is refused where it is none."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.door.resources.forms import Begun, Form
from portico.errors import Refusal

TYPE = b"multipart/form-data; boundary=b0und"
HEAD = b'--b0und\r\nContent-Disposition: form-data; name="'


def part(name: str, value: bytes, more: str = "", *lines: str) -> bytes:
    head = HEAD + name.encode() + b'"' + more.encode() + b"\r\n"
    return head + b"".join(line.encode() + b"\r\n" for line in lines) + b"\r\n" + value + b"\r\n"


END = b"--b0und--\r\n"


def read(body: bytes, *cuts: int) -> tuple[Begun | None, bytes, dict[str, str]]:
    form = Form(TYPE, "file")
    begun, data = None, b""
    edges = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(edges):
        for event in form.feed(body[start:end]):
            if isinstance(event, Begun):
                assert begun is None
                begun = event
            else:
                data += event
    form.end()
    return begun, data, form.fields


TRICKY = b"\r\n--b0un\r\n--b0und\r-\n\r\n--\r\n--b0unde"
BODY = (
    part("purpose", b"batch")
    + part("file", TRICKY[:-8], '; filename="a b.txt"', "Content-Type: text/plain; charset=utf-8")
    + part("expires_after[seconds]", b"3600")
    + END
)


def test_cut_at_every_byte_it_is_the_same_file() -> None:
    whole = read(BODY)
    assert whole == (
        Begun("a b.txt", "text/plain; charset=utf-8"),
        TRICKY[:-8],
        {"purpose": "batch", "expires_after[seconds]": "3600"},
    )
    for cut in range(len(BODY) + 1):
        assert read(BODY, cut) == whole
    assert read(BODY, *range(len(BODY))) == whole


@given(st.binary(max_size=300), st.lists(st.integers(0, 600), max_size=6))
@settings(max_examples=300)
def test_any_bytes_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    if b"\r\n--b0und" in b"\r\n" + data:
        return
    body = part("file", data, '; filename="x"') + part("purpose", b"p") + END
    begun, found, fields = read(body, *(cut for cut in cuts if cut <= len(body)))
    assert (begun, found, fields) == (Begun("x", ""), data, {"purpose": "p"})


@pytest.mark.parametrize(
    ("sent", "name"),
    [('filename="übung 1.txt"', "übung 1.txt"), ('filename="a\\"b"', 'a"b'), ("filename=x", "x")],
)
def test_names_of_files(sent: str, name: str) -> None:
    begun, _, _ = read(part("file", b"x", f"; {sent}") + END)
    assert begun == Begun(name, "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        END,
        part("file", b"x"),
        (part("file", b"x") + END)[:-6],
        part("file", b"x") + part("file", b"y") + END,
        b"--b0und\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
        b"--b0und\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END,
        b"--b0und\r\n" + b"X: y\r\n" * 9 + b"\r\nx\r\n" + END,
        b"--b0und\r\nX: " + b"y" * 5_000 + b"\r\n\r\nx\r\n" + END,
        part("purpose", b"x" * 70_000) + part("file", b"x") + END,
        part("purpose", b"\xff") + part("file", b"x") + END,
        b"".join(part(f"f{n}", b"") for n in range(33)) + END,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_400_what_is_no_such_form(body: bytes) -> None:
    with pytest.raises(Refusal) as found:
        read(body)
    assert found.value.status == 400
    assert found.value.code in ("invalid_form", "missing_field")


@pytest.mark.parametrize(
    "kind",
    [
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/mixed; boundary=x",
        b"multipart/form-data; boundary=" + b"x" * 300,
    ],
)
def test_400_another_kind_of_body(kind: bytes) -> None:
    with pytest.raises(Refusal) as found:
        Form(kind, "file")
    assert found.value.code == "invalid_form"
