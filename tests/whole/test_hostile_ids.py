"""Ids are whatever callers write: none of them is an error of ours, on either database."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.whole.conftest import Served

NUL = "a\0b"
GETS = [
    "responses/{id}",
    "responses/{id}/input_items",
    "conversations/{id}",
    "files/{id}",
    "batches/{id}",
    "messages/batches/{id}",
]
LISTS = ["files?after={id}", "batches?after={id}", "messages/batches?after_id={id}"]


@pytest.fixture
def client(serve: Callable[..., Served], database_url: str) -> Any:
    env = {"PORTICO_DATABASE_URL": database_url} if database_url else {}
    served = serve("--simulated", env=env)
    headers = {"authorization": f"Bearer {served.api_key}"}
    with httpx2.Client(base_url=f"{served.base_url}/", headers=headers) as opened:
        yield opened


def test_a_sign_that_a_database_has_no_room_for(client: httpx2.Client) -> None:
    """An id with it is one that never was; an item with it is kept, and its request is charged:
    the answer comes after the commit that settles it."""
    found = [client.get(path.format(id="a%00b")).status_code for path in GETS]
    assert found == [404] * len(GETS)
    assert [client.get(path.format(id="a%00b")).status_code for path in LISTS] == [200] * len(LISTS)
    assert client.delete("responses/a%00b").status_code == 404
    assert client.post("responses/a%00b/cancel").status_code == 404

    item = {"type": "message", "role": "user", "content": "Hello", "id": NUL}
    made = client.post("conversations", json={"items": [item], "metadata": {"a": NUL}})
    asked = {"model": "sim-echo", "input": [{**item, "id": NUL * 2}]}
    turn = client.post("responses", json={**asked, "conversation": made.json()["id"]})
    assert (made.status_code, turn.status_code) == (200, 200)
    items = client.get(f"conversations/{made.json()['id']}/items?order=asc").json()["data"]
    assert [each["role"] for each in items] == ["user", "user", "assistant"]
    for field in ("previous_response_id", "conversation"):
        assert client.post("responses", json={**asked, field: NUL}).status_code in (400, 404)
