"""Files and Uploads on a server as users start it: with the SDKs, and with clients that are none."""

import asyncio
import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from moto.server import ThreadedMotoServer
from openai import OpenAI

from portico.resources.files.shelves.bucket import client_of
from tests.media.corpus import pdf, picture
from tests.whole.conftest import Served
from tests.whole.wire import Wire, eventually, metric, post

Serve = Callable[..., Served]
ECHO = "sim-echo"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
)
FORM_END = b"\r\n--b--\r\n"
TYPE = "Content-Type: multipart/form-data; boundary=b"


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(served: Served) -> Iterator[Anthropic]:
    root = served.base_url.removesuffix("/v1")
    with Anthropic(base_url=root, api_key=served.api_key, max_retries=0) as made:
        yield made


def another_projects(served: Served) -> str:
    """A key."""
    organisation = served.cli("project", "list")["projects"][0]["organisation_id"]
    project = served.cli("project", "create", "other", "--organisation", organisation)["id"]
    key: str = served.cli("key", "create", "--project", project)["api_key"]
    return key


def stored(served: Served) -> list[str]:
    """What lies on the shelf, drafts included."""
    return [path.name for path in (served.data_dir / "files").rglob("*") if path.is_file()]


def ask(
    served: Served, method: str, path: str, *headers: str, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    wire = Wire(served)
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
    if not any(line.lower().startswith("authorization") for line in headers):
        lines.append(f"Authorization: Bearer {served.api_key}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    wire.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    try:
        return wire.answer()
    finally:
        wire.hang_up()


def code_of(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


# -- the SDKs ---------------------------------------------------------------------------------


def test_openais_files(client: OpenAI) -> None:
    data = os.urandom(700_000)
    made = client.files.create(
        file=("ä b.jsonl", data, "application/jsonl"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3_600},
    )
    assert (made.bytes, made.filename, made.purpose) == (700_000, "ä b.jsonl", "batch")
    assert made.expires_at == made.created_at + 3_600
    assert client.files.retrieve(made.id) == made
    assert client.files.wait_for_processing(made.id) == made
    content = client.files.content(made.id)
    assert content.read() == data
    head = content.response.headers
    assert head["content-type"] == "application/jsonl"
    assert head["x-content-type-options"] == "nosniff"
    assert head["content-disposition"].startswith('attachment; filename="_ b.jsonl"; filename*=')
    assert client.files.delete(made.id).deleted
    for call in (client.files.delete, client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError):
            call(made.id)


def test_a_download_goes_on_where_it_broke_off(served: Served, client: OpenAI) -> None:
    data = os.urandom(700_000)
    file = client.files.create(file=("a.bin", data), purpose="user_data")
    path = f"/v1/files/{file.id}/content"
    status, head, body = ask(served, "GET", path, "Range: bytes=300000-")
    assert (status, body) == (206, data[300_000:])
    assert head["content-range"] == "bytes 300000-699999/700000"
    status, head, body = ask(served, "GET", path, "Range: bytes=5-9", f"If-Range: {head['etag']}")
    assert (status, body, head["accept-ranges"]) == (206, data[5:10], "bytes")
    status, head, body = ask(served, "GET", path, "Range: bytes=5-9", 'If-Range: "another"')
    assert (status, len(body)) == (200, 700_000)
    status, head, body = ask(served, "GET", path, "Range: bytes=700000-")
    assert (status, head["content-range"]) == (416, "bytes */700000")
    assert code_of(body) == "range_not_satisfiable"


def test_one_key_one_file(client: OpenAI) -> None:
    """Each try has another boundary in its form; what counts is what the form says."""
    key = {"extra_headers": {"Idempotency-Key": f"file-{os.urandom(8).hex()}"}}

    def send(data: bytes = b"x" * 300_000, name: str = "a.txt", **more: Any) -> Any:
        return client.files.create(file=(name, data), purpose="user_data", **{**key, **more})

    first = send()
    held = [file.id for file in client.files.list()]
    assert send() == first
    assert [file.id for file in client.files.list()] == held
    expiring = {"expires_after": {"anchor": "created_at", "seconds": 3_600}}
    for other in ({"data": b"y"}, {"name": "b.txt"}, expiring):
        with pytest.raises(openai.ConflictError) as refused:
            send(**other)
        assert refused.value.code == "idempotency_key_reused"
    raw = client.files.with_raw_response.create(
        file=("a.txt", b"x" * 300_000), purpose="user_data", **key
    )
    assert raw.headers["idempotent-replayed"] == "true"
    with pytest.raises(openai.BadRequestError) as invalid:
        send(extra_headers={"Idempotency-Key": "a b"})
    assert invalid.value.code == "invalid_idempotency_key"


def test_one_key_one_upload_and_one_part(client: OpenAI) -> None:
    def keyed(name: str) -> Any:
        return {"extra_headers": {"Idempotency-Key": f"{name}-{salt}"}}

    salt = os.urandom(8).hex()
    wish: Any = {"bytes": 3, "filename": "a", "mime_type": "text/plain", "purpose": "user_data"}
    begun = client.uploads.create(**wish, **keyed("upload"))
    assert client.uploads.create(**wish, **keyed("upload")) == begun
    part = client.uploads.parts.create(begun.id, data=b"abc", **keyed("part"))
    assert client.uploads.parts.create(begun.id, data=b"abc", **keyed("part")) == part
    done = client.uploads.complete(begun.id, part_ids=[part.id])
    assert done.file is not None
    assert done.file.bytes == 3


def test_lists_in_pages(client: OpenAI) -> None:
    ids = [client.files.create(file=(f"{n}.txt", b"x"), purpose="evals").id for n in range(5)]
    listed = [file.id for file in client.files.list(purpose="evals", limit=2)]
    assert listed == ids[::-1], "through all pages"
    rising = client.files.list(purpose="evals", order="asc", after=ids[1], limit=2)
    assert [file.id for file in rising.data] == ids[2:4]
    assert rising.has_more
    for file_id in ids:
        client.files.delete(file_id)


def test_openais_uploads(client: OpenAI, tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "big.bin").write_bytes(data)
    upload = client.uploads.upload_file_chunked(
        file=tmp_path / "big.bin",
        mime_type="application/octet-stream",
        purpose="user_data",
        part_size=1_000_000,
    )
    assert upload.status == "completed"
    assert upload.file is not None
    assert client.files.content(upload.file.id).read() == data
    begun = client.uploads.create(
        bytes=3, filename="a", mime_type="text/plain", purpose="user_data"
    )
    client.uploads.parts.create(begun.id, data=b"ab")
    with pytest.raises(openai.BadRequestError, match="must be a part of this upload"):
        client.uploads.complete(begun.id, part_ids=["part_0"])
    assert client.uploads.cancel(begun.id).status == "cancelled"
    with pytest.raises(openai.ConflictError, match="is cancelled"):
        client.uploads.parts.create(begun.id, data=b"ab")
    with pytest.raises(openai.ConflictError, match="is completed"):
        client.uploads.cancel(upload.id)


def test_anthropics_files(claude: Anthropic) -> None:
    made = claude.beta.files.upload(
        file=("paper.txt", b"It was built in 1902.", "text/plain"), expires_in_seconds=7_200
    )
    assert (made.type, made.mime_type, made.size_bytes) == ("file", "text/plain", 21)
    assert made.expires_at is not None
    assert (made.expires_at - made.created_at).total_seconds() == 7_200
    assert claude.beta.files.retrieve_metadata(made.id) == made
    assert claude.beta.files.download(made.id).read() == b"It was built in 1902."
    more = claude.beta.files.upload(file=("b.txt", b"x", "text/plain"))
    listed = [file.id for file in claude.beta.files.list(limit=1)]
    assert listed[:2] == [more.id, made.id], "through all pages"
    named = claude.beta.files.list(ids=[made.id, "file_0", more.id])
    assert [file.id for file in named.data] == [made.id, more.id]
    assert claude.beta.files.list(scope_id="sess_1").data == [], "no file is of a session"
    with pytest.raises(anthropic.BadRequestError, match="next_page"):
        claude.beta.files.list(page=made.id)
    for file in (made, more):
        assert claude.beta.files.delete(file.id).type == "file_deleted"
    with pytest.raises(anthropic.NotFoundError) as gone:
        claude.beta.files.delete(made.id)
    assert gone.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]  # any JSON


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ({"purpose": "batch_output"}, "invalid_value", "purpose"),
        ({"file": b""}, "out_of_range", "file"),
        (
            {"expires_after": {"anchor": "created_at", "seconds": 3_599}},
            "out_of_range",
            "expires_after.seconds",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "seconds": 3_600}},
            "invalid_value",
            "expires_after.anchor",
        ),
    ],
)
def test_400_what_openais_create_is_refused(
    client: OpenAI, sent: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(**{"file": b"x", "purpose": "user_data", **sent})
    assert (refused.value.code, refused.value.param) == (code, field)


# -- files in requests ------------------------------------------------------------------------


def test_a_kept_file_is_read_in_every_dialect(
    served: Served, client: OpenAI, claude: Anthropic
) -> None:
    paper = pdf("The tower is 17 m high")
    file = client.files.create(file=("tower.pdf", paper), purpose="user_data")
    said = "[tower.pdf, page 1 of 1]\nThe tower is 17 m high"
    chat = client.chat.completions.create(
        model=ECHO,
        messages=[
            {"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]},
        ],
    )
    assert chat.choices[0].message.content == said
    part: Any = {"type": "input_file", "file_id": file.id}
    response = client.responses.create(model=ECHO, input=[{"role": "user", "content": [part]}])
    assert response.output_text == said
    block: Any = {"type": "document", "source": {"type": "file", "file_id": file.id}}
    message = claude.beta.messages.create(
        model=ECHO, max_tokens=100, messages=[{"role": "user", "content": [block]}]
    )
    assert message.content[0].text == said  # type: ignore[union-attr]  # it echoes text
    counted = claude.beta.messages.count_tokens(
        model=ECHO, messages=[{"role": "user", "content": [block]}]
    )
    assert counted.input_tokens > 0
    google = genai.Client(
        api_key=served.api_key, http_options={"base_url": served.base_url.removesuffix("/v1")}
    )
    answer = google.models.generate_content(
        model=ECHO,
        contents=[
            genai.types.Part.from_uri(file_uri=f"files/{file.id}", mime_type="application/pdf")
        ],
    )
    google.close()
    assert answer.text == said


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a"])
def test_a_kept_text_is_text(client: OpenAI, claude: Anthropic, name: str) -> None:
    file = client.files.create(file=(name, "Grüße".encode()), purpose="assistants")
    part: Any = {"type": "file", "file": {"file_id": file.id}}
    chat = client.chat.completions.create(
        model=ECHO, messages=[{"role": "user", "content": [part]}]
    )
    assert chat.choices[0].message.content == f"[{name}]\nGrüße"
    block: Any = {"type": "document", "source": {"type": "file", "file_id": file.id}}
    message = claude.beta.messages.create(
        model=ECHO, max_tokens=100, messages=[{"role": "user", "content": [block]}]
    )
    assert "Grüße" in message.content[0].text  # type: ignore[union-attr]  # it echoes text


def test_a_kept_picture_is_looked_into(client: OpenAI, claude: Anthropic) -> None:
    """By the same decoder as one that stands inline: a broken one is found."""
    whole, broken = picture(), picture()[:-40]
    for data, status in ((whole, 200), (broken, 400)):
        file = client.files.create(file=("a.png", data), purpose="vision")
        for ask_for in (_seen_by_responses, _seen_by_messages, _seen_by_chat):
            assert ask_for(client, claude, file.id) == status, ask_for


def _seen_by_responses(client: OpenAI, _: Anthropic, file_id: str) -> int:
    part: Any = {"type": "input_image", "file_id": file_id, "detail": "auto"}
    return _status(
        lambda: client.responses.create(model=ECHO, input=[{"role": "user", "content": [part]}])
    )


def _seen_by_chat(client: OpenAI, _: Anthropic, file_id: str) -> int:
    part: Any = {"type": "file", "file": {"file_id": file_id}}
    return _status(
        lambda: client.chat.completions.create(
            model=ECHO, messages=[{"role": "user", "content": [part]}]
        )
    )


def _seen_by_messages(_: OpenAI, claude: Anthropic, file_id: str) -> int:
    block: Any = {"type": "image", "source": {"type": "file", "file_id": file_id}}
    return _status(
        lambda: claude.beta.messages.create(
            model=ECHO, max_tokens=9, messages=[{"role": "user", "content": [block]}]
        )
    )


def _status(call: Callable[[], Any]) -> int:
    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as refused:
        return refused.status_code
    return 200


# -- whose it is ------------------------------------------------------------------------------


def test_another_project_has_none_of_it(served: Served, client: OpenAI) -> None:
    """By every route, and as a part: the same body as for an id that never was."""
    file = client.files.create(file=("a.txt", b"secret"), purpose="user_data")
    upload = client.uploads.create(
        bytes=3, filename="a", mime_type="text/plain", purpose="user_data"
    )
    part = client.uploads.parts.create(upload.id, data=b"abc")
    key = f"Authorization: Bearer {another_projects(served)}"
    one = json.dumps({"part_ids": [part.id]}).encode()
    form = FORM.replace(b'name="file"', b'name="data"') + b"x" + FORM_END
    unknown = {file.id: "file_" + "0" * 32, upload.id: "upload_" + "0" * 32}
    for theirs, method, ending, kind, body in (
        (file.id, "GET", "", "", b""),
        (file.id, "HEAD", "", "", b""),
        (file.id, "DELETE", "", "", b""),
        (file.id, "GET", "/content", "", b""),
        (upload.id, "POST", "/cancel", "", b""),
        (upload.id, "POST", "/complete", "Content-Type: application/json", one),
        (upload.id, "POST", "/parts", TYPE, form),
    ):
        root = "/v1/files/" if theirs == file.id else "/v1/uploads/"
        answers = []
        for each in (theirs, unknown[theirs]):
            lines = (key, *([kind] if kind else []), "Content-Length: 0" if not body else "A: b")
            if method == "HEAD":
                continue
            status, _, said = ask(served, method, f"{root}{each}{ending}", *lines, body=body)
            answers.append((status, said.decode().replace(each, "X")))
        assert len(set(answers)) <= 1, (method, ending, answers)
        assert all(status == 404 for status, _ in answers)
    other = OpenAI(base_url=served.base_url, api_key=key.rpartition(" ")[2], max_retries=0)
    said = set()
    for each in (file.id, unknown[file.id]):
        content: Any = [{"type": "file", "file": {"file_id": each}}]
        with pytest.raises(openai.NotFoundError) as refused:
            other.chat.completions.create(
                model=ECHO, messages=[{"role": "user", "content": content}]
            )
        said.add(str(refused.value.body).replace(each, "X"))
        assert refused.value.param == "messages[0].content[0].file.file_id"
    assert len(said) == 1
    assert other.files.list().data == []
    other.close()
    assert client.files.content(file.id).read() == b"secret"


def test_a_key_without_the_scope_reads_no_file_through_a_model(
    served: Served, client: OpenAI
) -> None:
    file = client.files.create(file=("a.txt", b"secret"), purpose="user_data")
    key = served.cli("key", "create", "--scopes", "generate")["api_key"]
    content = [{"type": "file", "file": {"file_id": file.id}}]
    body = json.dumps({"model": ECHO, "messages": [{"role": "user", "content": content}]}).encode()
    status, _, said = post(replace(served, api_key=key), "/v1/chat/completions", body)
    assert (status, code_of(said)) == (403, "permission_denied")


# -- clients that are none --------------------------------------------------------------------


def test_413_two_gigabytes_are_refused_before_a_byte_of_them(served: Served) -> None:
    wire = Wire(served)
    wire.socket.sendall(
        f"POST /v1/files HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {served.api_key}\r\n"
        f"{TYPE}\r\nContent-Length: 2147483648\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    status, headers, body = wire.answer()
    wire.hang_up()
    assert (status, code_of(body)) == (413, "file_too_large")
    assert json.loads(body)["error"]["param"] == "file"
    assert headers["x-should-retry"] == "false"


def test_413_at_the_limit_where_nothing_is_said_and_400_of_another_type(serve: Serve) -> None:
    types = "application/pdf,image/*,application/jsonl"
    served = serve(
        "--simulated",
        env={"PORTICO_FILES_FILE_BYTES_MAX": "2000000", "PORTICO_FILES_TYPES": types},
    )
    form = FORM.replace(b"a.bin", b"a.pdf")
    wire = Wire(served)
    wire.socket.sendall(
        f"POST /v1/files HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {served.api_key}\r\n"
        f"{TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    wire.socket.sendall(b"%x\r\n%b\r\n" % (len(form), form))
    for _ in range(2):
        wire.socket.sendall(b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")
    wire.socket.sendall(b"1\r\nx\r\n")
    status, _, body = wire.answer()
    wire.hang_up()
    assert (status, code_of(body)) == (413, "file_too_large")
    status, _, body = ask(served, "POST", "/v1/files", TYPE, body=FORM + b"x" + FORM_END)
    assert (status, code_of(body)) == (400, "file_type_not_allowed")
    upload = {"bytes": 3, "filename": "a", "mime_type": "text/plain", "purpose": "user_data"}
    json_type = "Content-Type: application/json"
    status, _, body = ask(
        served, "POST", "/v1/uploads", json_type, body=json.dumps(upload).encode()
    )
    assert (status, code_of(body)) == (400, "file_type_not_allowed")
    eventually(lambda: stored(served) == [])


def high_water_bytes(served: Served) -> int:
    """The most memory that the server has had."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def test_a_large_file_takes_little_memory(serve: Serve) -> None:
    served = serve("--simulated", env={"PORTICO_ENGINE_ENABLED": "false"})
    ask(served, "POST", "/v1/files", TYPE, body=FORM + b"x" * 1_000_000 + FORM_END)
    before_bytes = high_water_bytes(served)
    wire = Wire(served)
    size = len(FORM) + 100_000_000 + len(FORM_END)
    wire.socket.sendall(
        f"POST /v1/files HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {served.api_key}\r\n"
        f"{TYPE}\r\nContent-Length: {size}\r\n\r\n".encode()
        + FORM
    )
    for _ in range(100):
        wire.socket.sendall(b"x" * 1_000_000)
    wire.socket.sendall(FORM_END)
    status, _, body = wire.answer()
    wire.hang_up()
    assert (status, json.loads(body)["bytes"]) == (200, 100_000_000)
    url = f"{served.base_url}/files/{json.loads(body)['id']}/content"
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {served.api_key}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.headers["Content-Length"] == "100000000"
        assert sum(map(len, iter(lambda: answer.read(1_000_000), b""))) == 100_000_000
    assert high_water_bytes(served) - before_bytes < 30_000_000


def begun(served: Served) -> Wire:
    """An upload of which a megabyte has come."""
    wire = Wire(served)
    wire.socket.sendall(
        f"POST /v1/files HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {served.api_key}\r\n"
        f"{TYPE}\r\nContent-Length: 9000000\r\n\r\n".encode()
        + FORM
        + b"x" * 1_000_000
    )
    drafts = served.data_dir / "files" / "drafts"
    eventually(lambda: any(path.stat().st_size > 500_000 for path in drafts.iterdir()))
    return wire


def test_a_hang_up_leaves_nothing(serve: Serve) -> None:
    served = serve("--simulated")
    begun(served).hang_up()
    eventually(lambda: stored(served) == [])
    assert json.loads(ask(served, "GET", "/v1/files")[2])["data"] == []


def test_kill_9_in_the_middle_leaves_nothing(serve: Serve) -> None:
    served = serve("--simulated")
    with OpenAI(base_url=served.base_url, api_key=served.api_key) as client:
        kept = client.files.create(file=("a.txt", b"kept"), purpose="user_data")
    begun(served)
    served.process.kill()
    served.process.wait()
    assert len(stored(served)) == 2
    again = serve("--simulated", data_dir=served.data_dir)
    eventually(lambda: stored(again) == [kept.id])
    with OpenAI(base_url=again.base_url, api_key=served.api_key) as client:
        assert [file.id for file in client.files.list()] == [kept.id]
        assert client.files.content(kept.id).read() == b"kept"
    assert metric(again, "portico_files_kept_bytes") == 4


def test_bytes_that_are_gone_are_no_short_file(serve: Serve) -> None:
    served = serve("--simulated")
    with OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0) as client:
        lost = client.files.create(file=("a.txt", b"x" * 1_000_000), purpose="user_data")
        cut = client.files.create(file=("b.txt", b"x" * 1_000_000), purpose="user_data")
        (served.data_dir / "files" / lost.id[-2:] / lost.id).unlink()
        os.truncate(served.data_dir / "files" / cut.id[-2:] / cut.id, 600_000)
        with pytest.raises(openai.InternalServerError):
            client.files.content(lost.id)
        with pytest.raises(openai.APIConnectionError):
            client.files.content(cut.id).read()
        client.files.delete(lost.id)


def test_in_a_bucket(serve: Serve) -> None:
    there = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    there.start()
    host, port = there.get_host_and_port()
    url = f"http://{host}:{port}"
    client_of(url, "us-east-1", "id", "secret").create_bucket(Bucket="files")
    env = {
        "PORTICO_FILES_BUCKET": "files",
        "PORTICO_FILES_BUCKET_URL": url,
        "PORTICO_FILES_BUCKET_REGION": "us-east-1",
        "PORTICO_FILES_BUCKET_KEY_ID": "id",
        "PORTICO_FILES_BUCKET_SECRET": "secret",
    }
    served = serve("--simulated", env=env)
    data = os.urandom(9_000_000)
    with OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0) as client:
        file = client.files.create(file=("a.bin", data), purpose="user_data")
        assert client.files.content(file.id).read() == data
        path = f"/v1/files/{file.id}/content"
        status, _, part = ask(served, "GET", path, "Range: bytes=8999000-8999009")
        assert (status, part) == (206, data[8_999_000:8_999_010])
        assert not (served.data_dir / "files").exists()
        client.files.delete(file.id)
        there.stop()
        with pytest.raises(openai.APIStatusError) as away:
            client.files.create(file=("a.bin", b"x"), purpose="user_data")
    assert (away.value.status_code, away.value.code) == (503, "storage_unavailable")
    assert ask(served, "GET", "/healthz")[0] == 200


def test_a_project_that_keeps_nothing(served: Served) -> None:
    organisation = served.cli("project", "list")["projects"][0]["organisation_id"]
    project = served.cli("project", "create", "zero", "--organisation", organisation)["id"]
    served.cli("project", "set", project, "--retention", "zero")
    key = served.cli("key", "create", "--project", project)["api_key"]
    said = ask(
        served,
        *("POST", "/v1/files", TYPE, f"Authorization: Bearer {key}"),
        body=FORM + b"x" + FORM_END,
    )
    assert (said[0], code_of(said[2])) == (403, "zero_retention")


def test_many_at_once_keep_to_the_room(serve: Serve) -> None:
    served = serve("--simulated", env={"PORTICO_FILES_BYTES_PER_PROJECT_MAX": "1000000"})

    async def send_all() -> list[int]:
        async with openai.AsyncOpenAI(
            base_url=served.base_url, api_key=served.api_key, max_retries=0
        ) as client:

            async def one() -> int:
                try:
                    await client.files.create(file=b"x" * 300_000, purpose="user_data")
                except openai.APIStatusError as refused:
                    return refused.status_code
                return 200

            return list(await asyncio.gather(*(one() for _ in range(8))))

    assert sorted(asyncio.run(send_all())) == [200] * 3 + [403] * 5
    assert len(stored(served)) == 3
