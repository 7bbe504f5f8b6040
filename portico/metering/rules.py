"""What may be stored.  Engines are not trusted: a record must fit its row whatever they say."""

_FINISH_CHARACTERS_MAX = 64
ROUNDS_MAX = 1_000
"""Of one answer: the most that `tools.rounds_max` may be."""
_METER_MAX = 2**53 - 1
"""The largest count every JSON reader keeps exact."""


def storable(meters: tuple[int, ...]) -> tuple[int, ...]:
    """Counts within 0 and 2**53 - 1, as they are when they are sane."""
    if min(meters) >= 0 and max(meters) <= _METER_MAX:
        return meters
    return tuple(min(max(count, 0), _METER_MAX) for count in meters)


def finish_word(finish: str) -> str:
    """A short printable word."""
    if len(finish) <= _FINISH_CHARACTERS_MAX and finish.isascii():
        return finish
    return finish.encode("ascii", "replace").decode()[:_FINISH_CHARACTERS_MAX]


def id_of_round(request_id: str, number: int) -> str:
    """Of the record of one of several requests to a model that one answer took, from 1: the first has
    the answer's own id, so whoever knows that one finds all of them."""
    return request_id if number == 1 else f"{request_id}_{number}"


def ids_of_rounds(request_id: str) -> list[str]:
    """All there can be."""
    return [id_of_round(request_id, number) for number in range(1, ROUNDS_MAX + 1)]
