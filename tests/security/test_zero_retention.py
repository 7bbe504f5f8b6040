"""Under zero retention nothing of what is asked or answered is left anywhere, whatever happens.

And that the search would find it: the same requests of a project that keeps what replay keeps.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from portico.db.database import connect_database
from tests.db.databases import PostgresServer, postgres_server
from tests.security.canaries import (
    CHAT,
    Sent,
    chat,
    corpus,
    failing_upstream,
    hits,
    new_canary,
)
from tests.warm.commands import warm
from tests.whole.conftest import START_S_MAX, Served
from tests.whole.wire import Wire, eventually

LOUD = {
    "PORTICO_ENGINE_ENABLED": "false",
    "PORTICO_OBSERVE_LOG_LEVEL": "debug",
    "PORTICO_OBSERVE_ACCESS_LOG": "true",
    "PORTICO_OBSERVE_LOG_FORMAT": "json",
}
"""Everything that can be logged is."""


class Place:
    """A server, and every folder it could leave something in."""

    def __init__(self, root: Path, postgres: PostgresServer | None, url: str) -> None:
        self.data, self.temp, self.said = root / "data", root / "temp", root / "said"
        for folder in (self.temp, self.said):
            folder.mkdir()
        self.postgres, self.url = postgres, url

    def hits(self, sent: list[Sent]) -> dict[str, set[str]]:
        folders = [self.data, self.temp, self.said]
        if self.postgres is not None:
            self.postgres.do("CHECKPOINT")  # what it has in memory is in its tables now, too
            folders.append(self.postgres.folder)
        return hits([each.canary for each in sent], *folders)

    def finished(self) -> bool:
        database = connect_database(self.data, self.url)
        sql = "SELECT count(*) FROM usage_record WHERE outcome = 'running'"
        return database.read(lambda c: c.exec_driver_sql(sql).scalar()) == 0

    @contextmanager
    def serving(self, *words: str) -> Iterator[Served]:
        out = self.said / "out.txt"
        place = ("--port", "0", "--json", "--data-dir", str(self.data))
        with out.open("w") as stdout, (self.said / "error.txt").open("w") as stderr:
            process = subprocess.Popen(
                [str(warm().word), "serve", "--simulated", *place, *words],
                stdout=stdout,
                stderr=stderr,
                text=True,
                env={
                    **os.environ,
                    **LOUD,
                    "WARM_PORTICO": warm().address,
                    "TMPDIR": str(self.temp),
                },
            )
        try:
            eventually(lambda: "\n" in out.read_text(), START_S_MAX)
            banner = json.loads(out.read_text())
            yield Served(process, banner["base_url"], banner["api_key"], self.data)
        finally:
            process.kill()
            process.wait()


def ask(served: Served, sent: Sent) -> tuple[int, bytes]:
    """0 where nobody waited for the answer, or none came."""
    wire = Wire(served)
    try:
        wire.post(sent.path, sent.body, *sent.headers)
        if sent.hang_up:
            wire.read_until(b"data: ")
            return 0, b""
        status, _, body = wire.answer()
    except AssertionError:
        return 0, b""
    else:
        return status, body
    finally:
        wire.hang_up()


@pytest.fixture(scope="module")
def talkative() -> Iterator[PostgresServer]:
    """A PostgreSQL that logs all it is told."""
    with postgres_server() as server:
        server.say_all()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Place(tmp_path, None, "")
        return
    server: PostgresServer = request.getfixturevalue("talkative")
    url = server.new_url()
    server.store_plainly(url)
    monkeypatch.setenv("PORTICO_DATABASE_URL", url)
    yield Place(tmp_path, server, url)
    server.drop(url)


@dataclass(frozen=True)
class Left:
    """kept: canaries of whole answers that are kept where they may be.  again: what retries of those
    with a key were told.  running, killed: where canaries are, beside a running server and after
    kill -9."""

    kept: set[str]
    statuses: set[int]
    again: set[tuple[int, str]]
    running: dict[str, set[str]]
    killed: dict[str, set[str]]


def left_by(place: Place, retention: str) -> Left:
    sent = corpus()
    stuck = {**chat(text := new_canary(), "sim-stall"), "stream": True}
    last = Sent(CHAT, stuck, text, ("Idempotency-Key: last",), hang_up=True)
    with failing_upstream() as upstream, place.serving("--upstream", upstream.base_url) as served:
        (project,) = served.cli("project", "list")["projects"]
        served.cli("project", "set", project["id"], "--retention", retention)
        answered = [(each, *ask(served, each)) for each in sent]
        whole = [
            each
            for each, status, body in answered
            if each.stays and status == 200 and each.canary.encode() in body
        ]
        eventually(place.finished)
        running = place.hits(sent)
        repeated = [ask(served, each) for each in whole if each.keyed]
        again = {(status, code_of(body)) for status, body in repeated}
        ask(served, last)
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
    return Left(
        {each.canary for each in whole},
        {status for _, status, _ in answered},
        again,
        running,
        place.hits([*sent, last]),
    )


def code_of(body: bytes) -> str:
    found = re.search(rb"idempotent_answer_not_kept", body)
    return found.group().decode() if found else ""


def test_nothing_is_left_under_zero_retention(place: Place) -> None:
    left = left_by(place, "zero")
    assert {0, 200, 400, 404, 502} <= left.statuses
    assert len(left.kept) >= 10
    assert left.again == {(409, "idempotent_answer_not_kept")}, "told, and not charged again"
    assert (left.running, left.killed) == ({}, {})


def test_the_search_finds_what_is_kept(place: Place) -> None:
    left = left_by(place, "metadata")
    assert {0, 200, 400, 404, 502} <= left.statuses
    assert left.again == {(200, "")}
    assert len(left.kept) >= 10
    assert left.kept <= set().union(*left.running.values())
    assert set().union(*left.killed.values()) <= left.kept, "nothing else is kept"
    if place.postgres is None:
        assert set(left.killed) <= {"portico.db", "portico.db-wal"}
    else:
        for where in ("data/base/", "data/pg_wal/", "data/log"):
            files = [there for name, there in left.killed.items() if name.startswith(where)]
            assert left.kept <= set().union(*files), where
