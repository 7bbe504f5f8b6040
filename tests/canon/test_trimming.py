"""Which items stay when a conversation has grown too long."""

from hypothesis import given
from hypothesis import strategies as st

from portico.canon.trimming import Kind, Mark, last_steps, whole_turns

LETTERS: dict[str, Kind] = {
    "i": "instruction",
    "q": "question",
    "t": "thought",
    "c": "call",
    "r": "result",
    "s": "said",
}


def marks(written: str, size: int = 1) -> list[Mark]:
    return [Mark(LETTERS[letter], size) for letter in written]


def left(written: str, kept: list[int]) -> str:
    """What stays of `written`, with a dot for what went."""
    return "".join(letter if at in kept else "." for at, letter in enumerate(written))


def turns(written: str, room: int) -> str:
    return left(written, whole_turns(marks(written), room))


def steps(written: str, room: int) -> str:
    return left(written, last_steps(marks(written), room))


def test_the_oldest_turns_go_whole() -> None:
    assert turns("iqsqcrsqs", 9) == "iqsqcrsqs"
    assert turns("iqsqcrsqs", 8) == "i..qcrsqs"
    assert turns("iqsqcrsqs", 6) == "i......qs"


def test_instructions_and_the_last_turn_stay_whatever_there_is_room_for() -> None:
    assert turns("iqsiqcr", 0) == "i..iqcr"
    assert turns("scrqs", 2) == "...qs"


def test_questions_in_a_row_are_one_turn() -> None:
    assert turns("qqsqiqs", 4) == "...qiqs"


def test_a_question_asked_before_a_result_came_begins_no_turn() -> None:
    assert turns("qcqrsqs", 5) == ".....qs"
    assert turns("qsqcqr", 5) == "..qcqr"


def test_a_call_stays_with_its_result_and_a_thought_with_what_came_of_it() -> None:
    assert steps("qtcrtccrrts", 2) == "q.........."
    assert steps("qtcrtccrrts", 4) == "q........ts"
    assert steps("qtcrtccrrts", 8) == "q...tccrrts"
    assert steps("qscrs", 3) == "q...s"
    assert steps("qscrs", 5) == "qscrs"


@given(st.text("iqtcrs", max_size=30), st.integers(0, 30))
def test_what_went_was_older_than_what_stays(written: str, room: int) -> None:
    stays = turns(written, room)
    gone = [at for at, letter in enumerate(stays) if letter == "."]
    if gone:
        assert all(letter in "i." for letter in stays[: gone[-1] + 1])
        assert stays[gone[-1] + 1] in "qi", "half a turn stays"
    if len(stays.replace(".", "")) > room:
        assert stays == turns(written, 0), "more could have gone"


@given(st.lists(st.sampled_from(["cr", "ccrr", "s", "ts", "tcr", "scr"])), st.integers(0, 40))
def test_no_pair_is_parted(parts: list[str], room: int) -> None:
    written = "q" + "".join(parts)
    stays = steps(written, room)
    assert stays[0] == "q"
    assert stays.count("c") == stays.count("r")
    assert len(stays.replace(".", "")) <= max(room, 1)
    assert stays[1:].lstrip(".") == "" or "." not in stays[1:].lstrip(".")
