"""Responses that nobody waits for: polled, followed, cancelled, and there after every kind of end."""

import signal
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.whole.conftest import Served
from tests.whole.wire import eventually

ENDED = {"completed", "failed", "cancelled", "incomplete"}
SLOW = "[[sim tokens=400 delay_ms=25]]"


def client_of(served: Served) -> openai.OpenAI:
    return openai.OpenAI(api_key=served.api_key, base_url=served.base_url, max_retries=0)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with client_of(served) as client:
        yield client


def ask(client: openai.OpenAI, words: str = "Hello", **more: Any) -> Any:
    fields = {"model": "sim-echo", "input": words, "background": True, **more}
    return client.responses.create(**fields)


def states(served: Served) -> dict[str, str]:
    with sqlite3.connect(served.data_dir / "portico.db") as database:
        return dict(database.execute("SELECT id, state FROM response"))


def ended(served: Served, response_id: str) -> str:
    eventually(lambda: states(served)[response_id] in ENDED)
    return states(served)[response_id]


def cancel(client: openai.OpenAI, response_id: str) -> Any:
    return client.responses.cancel(response_id)


def test_it_is_answered_while_nobody_waits(served: Served, client: openai.OpenAI) -> None:
    made = ask(client, "Hello there")
    assert (made.status, made.background, made.output) == ("queued", True, [])
    assert ended(served, made.id) == "completed"
    assert cancel(client, made.id).output_text == "Hello there"


def test_what_follows_it_knows_it(served: Served, client: openai.OpenAI) -> None:
    made = ask(client, "The first")
    ended(served, made.id)
    next_one = ask(client, "The second", previous_response_id=made.id)
    assert ended(served, next_one.id) == "completed"


def test_a_stream_is_numbered_without_gaps_and_ends(client: openai.OpenAI) -> None:
    events = list(ask(client, "One two three", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


def test_whoever_hangs_up_ends_nothing(served: Served, client: openai.OpenAI) -> None:
    stream = ask(client, "[[sim tokens=20 delay_ms=20]]", stream=True)
    first = next(iter(stream))
    stream.close()
    assert ended(served, first.response.id) == "completed"


def test_one_under_way_is_cancelled(served: Served, client: openai.OpenAI) -> None:
    made = ask(client, SLOW)
    eventually(lambda: client.responses.retrieve(made.id).status == "in_progress")
    assert states(served)[made.id] == "in_progress"
    assert cancel(client, made.id).status == "cancelled"
    records = served.cli("usage", "--list", "5")["records"]
    eventually(
        lambda: all(
            r["outcome"] != "running" for r in served.cli("usage", "--list", "5")["records"]
        )
    )
    assert records


def test_the_same_key_twice_is_one_response(client: openai.OpenAI) -> None:
    headers = {"Idempotency-Key": "background-1"}
    first = ask(client, "Once", extra_headers=headers)
    again = ask(client, "Once", extra_headers=headers)
    assert first.id == again.id
    with pytest.raises(openai.ConflictError) as refused:
        ask(client, "Something else", extra_headers=headers)
    assert refused.value.code == "idempotency_key_reused"


def test_400_what_is_not_kept_cannot_be_in_the_background(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, store=False)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "store")


def test_400_what_is_wrong_is_said_at_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, temperature=9)
    assert refused.value.param == "temperature"


def test_an_engine_that_fails_is_said_in_the_response(
    served: Served, client: openai.OpenAI
) -> None:
    made = ask(client, model="sim-error")
    assert ended(served, made.id) == "failed"
    assert cancel(client, made.id).error.code == "server_error"


def test_400_one_that_somebody_waited_for_is_not_cancelled_nor_streamed_again(
    client: openai.OpenAI,
) -> None:
    made = client.responses.create(model="sim-echo", input="Hello")
    with pytest.raises(openai.BadRequestError) as refused:
        cancel(client, made.id)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "response_id")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.retrieve(made.id, stream=True)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "stream")


def test_404_of_an_id_that_is_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        cancel(client, "resp_0")
    assert refused.value.code == "resource_not_found"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_each_reaches_one_end_across_a_restart(serve: Callable[..., Served], end: str) -> None:
    served, slowly = serve("--simulated"), "[[sim tokens=40 delay_ms=20]]"
    with client_of(served) as client:
        quick = [ask(client, f"n {at}").id for at in range(40)]
        slow = [ask(client, slowly).id for _ in range(39)]
        eventually(lambda: "in_progress" in states(served).values())
        slow.append(ask(client, slowly).id)
    # It gets no further than this, however long it takes to end it.
    served.process.send_signal(signal.SIGSTOP)
    served.process.send_signal(signal.SIGKILL if end == "kill" else signal.SIGTERM)
    served.process.send_signal(signal.SIGCONT)
    served.process.wait(30)
    left = sum(state not in ENDED for state in states(served).values())
    assert left, "nothing was left to be done: the test shows nothing"
    again = serve("--simulated", data_dir=served.data_dir)
    eventually(lambda: set(states(again).values()) <= ENDED)
    assert {states(again)[each] for each in (*slow, *quick)} == {"completed"}
    outcomes = [r["outcome"] for r in again.cli("usage", "--list", "500")["records"]]
    assert outcomes.count("completed") == 80
    assert set(outcomes) <= {"completed", "killed", "drained"}


def test_a_server_that_stops_leaves_in_line_what_its_own_engine_makes(
    serve: Callable[..., Served],
) -> None:
    """The work goes before the engine does: else it would have failed, and never be made."""
    served = serve(env={"PORTICO_SERVER_DRAIN_S": "0"})
    with client_of(served) as client:
        for _ in range(40):
            ask(client, "Write the numbers from 1 to 300.", model="portico-demo", temperature=1)
    eventually(lambda: "in_progress" in states(served).values())
    served.stop()
    found = set(states(served).values())
    assert "queued" in found, "nothing was left to be done: the test shows nothing"
    assert found <= {"queued", "completed"}


def test_one_that_is_deleted_while_it_streams_ends_nothing_else(served: Served) -> None:
    """Its words have no place any more; the server, and what others make, goes on."""
    with client_of(served) as client:
        other = ask(client, "[[sim tokens=60 delay_ms=25]]", stream=True)
        first = next(other)
        stream = ask(client, SLOW, stream=True)
        doomed = next(stream).response.id
        while not next(stream).type.endswith(".delta"):
            pass
        client.responses.delete(doomed)
        assert ended(served, first.response.id) == "completed"
        numbers = [event.sequence_number for event in other]
        assert numbers == list(range(1, len(numbers) + 1))
        stream.close()
    assert doomed not in states(served)
    assert served.process.poll() is None


def test_a_lent_key_has_no_other_model_in_the_background_and_its_work_ends_with_it(
    served: Served,
) -> None:
    """Nor does what it left go on once it is revoked: it leaked, and costs its owner nothing more."""
    scopes = "generate,responses,ephemeral:create"
    key = served.cli("key", "create", "--name", "lender", "--scopes", scopes)["api_key"]
    lent = openai.OpenAI(api_key=key, base_url=served.base_url, max_retries=0).post(
        "/ephemeral_keys", body={"expires_in": 60, "models": ["sim-echo"]}, cast_to=dict[str, Any]
    )
    with openai.OpenAI(api_key=lent["value"], base_url=served.base_url, max_retries=0) as client:
        assert ended(served, ask(client, "Hello").id) == "completed"
        with pytest.raises(openai.NotFoundError) as refused:
            ask(client, model="sim-error")
        assert refused.value.code == "model_not_found"
        left = ask(client, SLOW)
        eventually(lambda: states(served)[left.id] == "in_progress")
        served.cli("key", "revoke", credential_of(served, left.id))
        assert ended(served, left.id) == "cancelled"


def credential_of(served: Served, response_id: str) -> str:
    """The key that it was asked with."""
    with sqlite3.connect(served.data_dir / "portico.db") as database:
        query = "SELECT credential_id FROM response WHERE id = ?"
        return str(database.execute(query, (response_id,)).fetchone()[0])
