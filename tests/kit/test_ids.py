"""No two ids are the same, however they are drawn."""

import os
import re

from portico.kit.ids import new_id

MANY = 1_000


def test_ids_are_distinct_typed_and_of_one_shape() -> None:
    made = [new_id("req") for _ in range(MANY)]
    assert len(set(made)) == MANY
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", one) for one in made)


def test_a_forked_process_does_not_repeat_the_chances_drawn_ahead() -> None:
    new_id("req")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id("req").encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert new_id("req")[-20:] != theirs[-20:]
