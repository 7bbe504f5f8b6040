"""What an operator of a PostgreSQL database types, and what a server does with it."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portico.cli.doctor import checks
from portico.db.check import walls
from portico.db.database import Database, open_database
from portico.db.migrations import HEAD
from portico.db.spool import REJECTED_NAME, Spool
from portico.settings import Settings, serving
from tests.db.databases import PostgresServer
from tests.warm.commands import Command, run, start


class Operator:
    """Words typed with a data directory and a database.url in the environment."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self._more = ["--data-dir", str(data_dir)]
        environment = {"PORTICO_DATABASE_URL": url, "PORTICO_ENGINE_ENABLED": "false"}
        self._environment = {**os.environ, **environment}

    def types(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return run(*words, *self._more, env=self._environment)

    def serves(self) -> Command:
        words = ("serve", "--port", "0", "--simulated", "--json")
        return start(*words, *self._more, env=self._environment)


def _findings(operator: Operator) -> tuple[int, dict[str, Any]]:
    done = operator.types("db", "check", "--json")
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)["findings"]}


def test_a_server_waits_for_the_operator_to_upgrade(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    operator = Operator(tmp_path, postgres.new_url(migrated=False))
    refused = operator.types("serve", "--port", "0")
    assert refused.returncode == 4
    assert "has no tables yet" in refused.stderr
    assert "portico db upgrade" in refused.stderr
    done = operator.types("db", "upgrade", "--json")
    assert json.loads(done.stdout) == {"before": "", "after": HEAD}
    servers = [operator.serves()]
    said = [json.loads(servers[0].stdout.readline())]
    servers.append(operator.serves())
    said.append(json.loads(servers[1].stdout.readline()))
    assert said[0]["api_key"].startswith("pk_live_")
    assert said[1]["api_key"] is None  # it found the other's organisation
    assert said[0]["base_url"] != said[1]["base_url"]
    for server in servers:
        server.send_signal(signal.SIGTERM)
    assert [server.wait(30) for server in servers] == [0, 0]
    for server in servers:
        server.communicate()


def test_check_sees_missing_guards_and_refused_rows(database: Database, database_url: str) -> None:
    operator = Operator(database.data_dir, database_url)
    code, found = _findings(operator)
    assert code == 0
    assert all(each["ok"] for each in found.values())
    trigger = "DROP TRIGGER entry_refuses_update"
    on = " ON entry" if database.dialect == "postgresql" else ""
    database.write(lambda c: c.exec_driver_sql(trigger + on))
    rejected = Spool(database.data_dir, 0, REJECTED_NAME)
    rejected.append([("usage", ("req_1",))])
    rejected.close()
    code, found = _findings(operator)
    assert code == 1
    assert "entry" in found["guards"]["says"]
    assert "refused 1 rows (usage)" in found["rejected"]["says"]
    assert [name for name, each in found.items() if not each["ok"]] == ["guards", "rejected"]


@pytest.mark.parametrize(
    ("change", "back", "says"),
    [
        ("ALTER ROLE portico BYPASSRLS", "ALTER ROLE portico NOBYPASSRLS", "does not count"),
        ("DROP POLICY tenant ON api_key", "", "api_key"),
        ("ALTER TABLE hold NO FORCE ROW LEVEL SECURITY", "", "hold"),
        ("ALTER TABLE project DISABLE ROW LEVEL SECURITY", "", "project"),
    ],
)
def test_check_and_doctor_see_missing_walls(
    postgres: PostgresServer,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    back: str,
    says: str,
) -> None:
    database = open_database(tmp_path, postgres_url)
    assert walls(database).ok
    if back:
        postgres.do(change)
    else:
        database.write(lambda c: c.exec_driver_sql(change))
    try:
        found = walls(database)
        settings = Settings(
            server=serving.Server(data_dir=str(tmp_path)), database=serving.Database(postgres_url)
        )
        (told,) = [each for each in checks.examine(settings) if each.name == "database"]
    finally:
        if back:
            postgres.do(back)
    assert (found.ok, told.ok) == (False, False)
    assert says in found.says
    assert found.says in told.says
    assert found.fix


def test_check_sees_a_damaged_file(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    database.write(
        lambda c: c.exec_driver_sql(
            "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'Us', 0)"
        )
    )
    with (tmp_path / "portico.db").open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(4096))
    code, _ = _findings_or_words(Operator(tmp_path, ""))
    assert code != 0


def _findings_or_words(operator: Operator) -> tuple[int, str]:
    done = operator.types("db", "check")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [("db", "check"), ("db", "upgrade"), ("serve",)])
def test_a_server_that_is_not_there_is_said_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = Operator(tmp_path, "postgresql://me:hunter2@127.0.0.1:1/x").types(*words)
    assert done.returncode == 4
    assert "database.url" in done.stderr
    assert "hunter2" not in done.stderr
