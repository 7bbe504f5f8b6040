"""`portico admin-key`, run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.accounts.actors.model import operator
from portico.accounts.people.members import add_member
from portico.accounts.projects.service import create_organisation
from portico.accounts.service import open_accounts
from portico.callers.rules import kind_of
from portico.cli.tenants import admin_key
from portico.db.database import open_database
from portico.kit.clock import SystemClock

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, standard output, standard error."""
    open_accounts(open_database(tmp_path), tmp_path, SystemClock())

    def typed(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            admin_key.app([*words, "--data-dir", str(tmp_path)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def test_a_key_is_shown_once_listed_and_revoked(run: Run) -> None:
    code, said, _ = run("create", "--name", "laptop", "--expires-in", "30d")
    secret = said.splitlines()[0]
    assert (code, kind_of(secret)) == (0, "admin")
    listed = run("list")[1]
    assert secret not in listed
    assert f"{secret[:13]}…{secret[-4:]}" in listed
    (key,) = json.loads(run("list", "--json")[1])["admin_keys"]
    assert (key["organisation_id"], key["owner_id"], key["scopes"]) == (None, None, None)
    assert run("revoke", key["id"])[:2] == (0, f"{key['id']} is revoked.\n")
    assert "revoked" in run("list")[1]
    code, _, error = run("revoke", "adminkey_none")
    assert code == 1
    assert "adminkey_none" in error


def test_a_key_is_somebodys_in_an_organisation(run: Run, tmp_path: Path) -> None:
    database, clock = open_database(tmp_path), SystemClock()
    org = database.write(lambda c: create_organisation(operator(c, clock), "Acme")).id
    ada = database.write(
        lambda c: add_member(operator(c, clock), org, "ada@example.org", "auditor")
    ).subject_id
    mine = ("--organisation", org, "--owner", ada)
    made = json.loads(run("create", *mine, "--scopes", "audit:read,keys:read", "--json")[1])
    assert (made["organisation_id"], made["owner_id"]) == (org, ada)
    assert made["scopes"] == ["audit:read", "keys:read"]
    for wrong, says in (
        (("--organisation", org), "owner_id"),
        (("--owner", ada), "organisation_id"),
        (("--organisation", "org_none", "--owner", ada), "org_none"),
        (("--organisation", org, "--owner", "user_none"), "user_none"),
        ((*mine, "--scopes", "keys:write"), "keys:write"),
        ((*mine, "--scopes", "everything"), "everything"),
        ((*mine, "--networks", "here"), "here"),
    ):
        code, out, error = run("create", *wrong)
        assert (code, out) == (1, "")
        assert says in error
