"""Made, listed, read, followed, cancelled and deleted in whatever order, by two projects: what the API
says of each thing is what a plain dictionary says.  `-m long` takes more and longer ways."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.whole.conftest import Served
from tests.whole.test_two_servers import line

OWNERS = st.sampled_from(["one", "other"])
LIMITS = st.integers(1, 7)
ORDERS = st.sampled_from(["asc", "desc"])
WORDS = st.sampled_from(["a", "bc", "def"])
BOUNDARY = "zzz"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BROUGHT = "abc"
"""What uploads hold, which were not begun for batches."""
CHAT = "/v1/chat/completions"


@dataclass
class Thing:
    """kind: the first word of its path.  says: what it holds, where that can be read.
    before: what it follows.  spoken: in a conversation, where alone it is followed."""

    id: str
    owner: str
    kind: str
    says: list[str] = field(default_factory=list)
    there: bool = True
    before: "Thing | None" = None
    spoken: bool = False

    @property
    def followable(self) -> bool:
        return self.there and not self.spoken and (self.before is None or self.before.followable)


class Kept(RuleBasedStateMachine):
    """Its server is shared by all examples, and so is what cannot be deleted there."""

    files = Bundle("files")
    responses = Bundle("responses")
    conversations = Bundle("conversations")
    uploads = Bundle("uploads")
    batches = Bundle("batches")
    address: ClassVar[tuple[str, int]]
    keys: ClassVar[dict[str, str]]
    all: ClassVar[list[Thing]] = []

    def __init__(self) -> None:
        super().__init__()
        self.connection = HTTPConnection(*self.address, timeout=30)

    def teardown(self) -> None:
        self.connection.close()

    def ask(
        self, owner: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {"Authorization": f"Bearer {self.keys[owner]}", **(FORM if headers else {})}
        self.connection.request(method, path, sent, named)
        with self.connection.getresponse() as answer:
            told = answer.read()
            assert answer.status < 500, told
            return answer.status, told if "/content" in path else json.loads(told)

    def new(self, owner: str, kind: str, body: Any, *says: str, **headers: str) -> Thing:
        status, told = self.ask(owner, "POST", f"/v1/{kind}", body, **headers)
        assert status == 200, told
        made = Thing(told["id"], owner, kind, list(says))
        self.all.append(made)
        return made

    def sees(self, owner: str, thing: Thing) -> bool:
        return thing.there and thing.owner == owner

    # -- making -------------------------------------------------------------------------------

    @rule(target=files, owner=OWNERS, words=WORDS)
    def send_file(self, owner: str, words: str) -> Thing:
        text = line("1", words)
        return self.new(owner, "files", form("file", text, purpose="batch"), text, form="yes")

    @rule(target=responses, owner=OWNERS, words=WORDS)
    def respond(self, owner: str, words: str) -> Thing:
        return self.new(owner, "responses", {"model": "sim-echo", "input": words}, words)

    @rule(target=conversations, owner=OWNERS)
    def converse(self, owner: str) -> Thing:
        return self.new(owner, "conversations", {})

    @rule(target=uploads, owner=OWNERS)
    def begin(self, owner: str) -> Thing:
        wish = {"bytes": 3, "filename": "u", "mime_type": "text/plain", "purpose": "user_data"}
        return self.new(owner, "uploads", wish)

    @rule(target=batches, owner=OWNERS, file=files)
    def begin_batch(self, owner: str, file: Thing) -> Thing:
        wish = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
        if self.sees(owner, file) and file.says != [BROUGHT]:
            return self.new(owner, "batches", wish)
        status, _ = self.ask(owner, "POST", "/v1/batches", wish)
        assert status == (400 if self.sees(owner, file) else 404)
        return Thing("batch_none", owner, "batches", there=False)

    # -- what follows something ---------------------------------------------------------------

    @rule(target=responses, owner=OWNERS, words=WORDS, before=responses)
    def follow(self, owner: str, words: str, before: Thing) -> Thing:
        asked = {"model": "sim-echo", "input": words, "previous_response_id": before.id}
        if self.sees(owner, before) and before.followable:
            made = self.new(owner, "responses", asked, words)
            made.before = before
            return made
        assert self.ask(owner, "POST", "/v1/responses", asked)[0] == 400
        return Thing("resp_none", owner, "responses", there=False)

    @rule(target=responses, owner=OWNERS, words=WORDS, held=conversations)
    def speak(self, owner: str, words: str, held: Thing) -> Thing:
        asked = {"model": "sim-echo", "input": words, "conversation": held.id}
        if self.sees(owner, held):
            held.says += [words, words]
            made = self.new(owner, "responses", asked, words)
            made.spoken = True
            return made
        assert self.ask(owner, "POST", "/v1/responses", asked)[0] == 404
        return Thing("resp_none", owner, "responses", there=False)

    @rule(owner=OWNERS, words=WORDS, held=conversations)
    def add(self, owner: str, words: str, held: Thing) -> None:
        item = {"type": "message", "role": "user", "content": words}
        path = f"/v1/conversations/{held.id}/items"
        status, _ = self.ask(owner, "POST", path, {"items": [item]})
        assert status == (200 if self.sees(owner, held) else 404)
        if self.sees(owner, held):
            held.says.append(words)

    @rule(owner=OWNERS, file=files)
    def read_by_a_model(self, owner: str, file: Thing) -> None:
        part = {"type": "input_file", "file_id": file.id}
        asked = {"model": "sim-echo", "input": [{"role": "user", "content": [part]}]}
        status, told = self.ask(owner, "POST", "/v1/responses", {**asked, "store": False})
        assert status == (200 if self.sees(owner, file) else 404)
        assert status != 200 or file.says[0] in told["output"][0]["content"][0]["text"]

    @rule(target=files, owner=OWNERS, upload=uploads, once=st.booleans())
    def bring(self, owner: str, upload: Thing, once: bool) -> Thing:
        """once: that is all of it."""
        path = f"/v1/uploads/{upload.id}"
        status, part = self.ask(owner, "POST", f"{path}/parts", form("data", BROUGHT), form="yes")
        if not self.sees(owner, upload):
            assert status in (404, 409)
            return Thing("file_none", owner, "files", there=False)
        assert status == 200, part
        if not once:
            return Thing("file_none", owner, "files", there=False)
        status, told = self.ask(owner, "POST", f"{path}/complete", {"part_ids": [part["id"]]})
        assert status == 200, told
        upload.there = False
        made = Thing(told["file"]["id"], owner, "files", [BROUGHT])
        self.all.append(made)
        return made

    # -- looking ------------------------------------------------------------------------------

    @rule(owner=OWNERS, thing=st.one_of(files, responses, conversations, batches))
    def look(self, owner: str, thing: Thing) -> None:
        status, told = self.ask(owner, "GET", f"/v1/{thing.kind}/{thing.id}")
        assert status == (200 if self.sees(owner, thing) else 404), told
        assert status != 200 or told["id"] == thing.id

    @rule(owner=OWNERS, file=files)
    def load(self, owner: str, file: Thing) -> None:
        status, told = self.ask(owner, "GET", f"/v1/files/{file.id}/content")
        assert status == (200 if self.sees(owner, file) else 404)
        assert status != 200 or told.decode() == file.says[0]

    @rule(owner=OWNERS, held=conversations, limit=LIMITS, order=ORDERS)
    def listen(self, owner: str, held: Thing, limit: int, order: str) -> None:
        path = f"/v1/conversations/{held.id}/items"
        if not self.sees(owner, held):
            assert self.ask(owner, "GET", path)[0] == 404
            return
        said = [each["content"][0]["text"] for each in self.pages(owner, path, limit, order)]
        assert said == (held.says if order == "asc" else held.says[::-1])

    @rule(owner=OWNERS, kind=st.sampled_from(["files", "batches"]), limit=LIMITS, order=ORDERS)
    def list_all(self, owner: str, kind: str, limit: int, order: str) -> None:
        mine = [each.id for each in self.all if each.kind == kind and self.sees(owner, each)]
        there = {each["id"] for each in self.pages(owner, f"/v1/{kind}", 100, "asc")}
        # Batches write files, too.
        assert there >= set(mine) if kind == "files" else there == set(mine)
        newest = [each["id"] for each in self.pages(owner, f"/v1/{kind}", limit, order, most=3)]
        assert newest == sorted(newest, reverse=order == "desc")

    def pages(
        self, owner: str, path: str, limit: int, order: str, most: int = 1_000
    ) -> Iterator[dict[str, Any]]:
        after = ""
        for _ in range(most):
            behind = f"&after={after}" if after else ""
            status, told = self.ask(owner, "GET", f"{path}?limit={limit}&order={order}{behind}")
            assert status == 200, told
            assert len(told["data"]) <= limit
            yield from told["data"]
            if not told["has_more"]:
                return
            after = told["last_id"]

    # -- ending -------------------------------------------------------------------------------

    @rule(owner=OWNERS, thing=st.one_of(files, responses, conversations))
    def delete(self, owner: str, thing: Thing) -> None:
        status, _ = self.ask(owner, "DELETE", f"/v1/{thing.kind}/{thing.id}")
        assert status == (200 if self.sees(owner, thing) else 404)
        thing.there = thing.there and thing.owner != owner

    @rule(owner=OWNERS, upload=uploads)
    def give_up(self, owner: str, upload: Thing) -> None:
        status, _ = self.ask(owner, "POST", f"/v1/uploads/{upload.id}/cancel")
        if self.sees(owner, upload):
            assert status == 200
            upload.there = False
        else:
            assert status in ((404,) if upload.owner != owner else (200, 409))

    @rule(owner=OWNERS, batch=batches)
    def cancel(self, owner: str, batch: Thing) -> None:
        status, _ = self.ask(owner, "POST", f"/v1/batches/{batch.id}/cancel")
        assert status in ((200, 409) if self.sees(owner, batch) else (404,))


def form(name: str, content: str, **fields: str) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    first = "".join(f'{head}{each}"\r\n\r\n{value}\r\n' for each, value in fields.items())
    return f'{first}{head}{name}"; filename="a.txt"\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n'.encode()


@pytest.fixture(scope="module")
def _two_projects(served: Served) -> None:
    Kept.address = served.host_port
    Kept.keys = {}
    for owner in ("one", "other"):
        project = served.cli("project", "create", f"kept {owner}")["id"]
        Kept.keys[owner] = served.cli("key", "create", "--project", project)["api_key"]


def walked(examples: int, steps: int) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=quiet,
    )
    run_state_machine_as_test(Kept, settings=chosen)


@pytest.mark.usefixtures("_two_projects")
def test_it_is_as_a_dictionary_says() -> None:
    walked(12, 30)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_two_projects")
def test_it_is_as_a_dictionary_says_for_long() -> None:
    walked(300, 60)
