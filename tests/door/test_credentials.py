import pytest

from portico import errors
from portico.door.credentials import credential_of

PLACES = {
    "Authorization": ({b"authorization": b"Bearer %b"}, b""),
    "authorization, lower case scheme": ({b"authorization": b"bearer %b"}, b""),
    "x-api-key": ({b"x-api-key": b"%b"}, b""),
    "x-goog-api-key": ({b"x-goog-api-key": b"%b"}, b""),
    "?key=": ({}, b"alt=sse&key=%b"),
}


def sent(place: str, key: bytes) -> tuple[dict[bytes, bytes], bytes]:
    headers, query = PLACES[place]
    return {name: value.replace(b"%b", key) for name, value in headers.items()}, query.replace(
        b"%b", key
    )


@pytest.mark.parametrize("place", PLACES)
def test_one_key_is_found_wherever_it_is(place: str) -> None:
    assert credential_of(*sent(place, b"pk_live_a")) == "pk_live_a"


@pytest.mark.parametrize("one", PLACES)
@pytest.mark.parametrize("other", PLACES)
def test_the_same_key_twice_is_one_and_two_keys_are_none(one: str, other: str) -> None:
    if set(PLACES[one][0]) == set(PLACES[other][0]):
        return  # the same place: see the repeated header below
    for first, second in ((b"pk_a", b"pk_a"), (b"pk_a", b"pk_b")):
        headers, query = sent(one, first)
        more, more_query = sent(other, second)
        together = {**headers, **more}, query + more_query
        if first == second:
            assert credential_of(*together) == "pk_a"
            continue
        with pytest.raises(errors.Refusal) as refused:
            credential_of(*together)
        assert refused.value.code == "two_credentials"
        for place in (one, other):
            assert place.split(",")[0].lower() in refused.value.message.lower()
        assert "pk_a" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "scheme"),
    [(b"authorization", b"Bearer "), (b"x-api-key", b""), (b"x-goog-api-key", b"")],
)
def test_a_header_that_came_twice_must_say_the_same(name: bytes, scheme: bytes) -> None:
    one, other = scheme + b"pk_a", scheme + b"pk_b"
    assert credential_of({name: one + b", " + one}, b"") == "pk_a"
    with pytest.raises(errors.Refusal, match="two different keys"):
        credential_of({name: one + b", " + other}, b"")


@pytest.mark.parametrize(
    "headers",
    [{}, {b"authorization": b""}, {b"authorization": b"Basic dXNlcg=="}, {b"x-api-key": b""}],
)
def test_no_key_is_an_empty_string(headers: dict[bytes, bytes]) -> None:
    assert credential_of(headers, b"monkey=1") == ""
