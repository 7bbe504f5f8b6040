"""Requests that two readers may cut in two places, against a whole server: none hides a second one."""

import pytest

from bench.edge.smuggling import CORPUS, DESIGN, case, hidden
from bench.edge.talk import answers
from tests.security.socketry import authorization, said
from tests.whole.conftest import Served
from tests.whole.wire import metric

PATH = "/v1/chat/completions"
HIDDEN = "/v1/models"
GOOD = b"GET /healthz HTTP/1.1\r\nHost: door.test\r\n\r\n"
LISTED = f'portico_requests_total{{route="{HIDDEN}"'


def served_models(served: Served) -> float:
    """How often what is hidden was answered, as the server counts it."""
    return metric(served, LISTED)


def test_there_are_as_many_as_the_design_asks_for_and_more() -> None:
    assert len(DESIGN) == 14
    assert len(CORPUS) > 140


def test_what_is_hidden_would_be_answered_if_it_were_seen(guarded: Served) -> None:
    before = served_models(guarded)
    closing = hidden(HIDDEN, authorization(guarded), "Connection: close")
    (heard,) = answers(said(guarded, closing))
    assert heard.status == 200
    assert served_models(guarded) == before + 1


@pytest.mark.parametrize("ahead", [0, 1], ids=["alone", "behind a good one"])
@pytest.mark.parametrize("name", CORPUS)
def test_one_refusal_and_the_end_of_the_connection(guarded: Served, name: str, ahead: int) -> None:
    before = served_models(guarded)
    key = authorization(guarded)
    sent = GOOD * ahead + case(name, PATH, key) + hidden(HIDDEN, key)
    heard = answers(said(guarded, sent))
    assert [each.status for each in heard[:ahead]] == [200] * ahead
    (refusal,) = heard[ahead:]
    assert 400 <= refusal.status < 500
    assert refusal.headers["connection"] == "close"
    assert served_models(guarded) == before
