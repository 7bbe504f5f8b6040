"""`portico organisation`, `project`, `member`, `invitation`, `role` and `service-account`, run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.service import open_accounts
from portico.cli.main import app
from portico.db.database import open_database
from portico.kit.clock import SystemClock

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """What a command says as JSON; its exit code where it does not end well."""
    open_accounts(open_database(tmp_path), tmp_path, SystemClock())

    def typed(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            app([*words, "--data-dir", str(tmp_path), "--json"])
        said = capsys.readouterr()
        return json.loads(said.out) if ended.value.code in (0, None) else ended.value.code

    return typed


def test_a_command_without_an_organisation_means_the_only_one(run: Run) -> None:
    assert run("member", "add", "ada@example.org", "--role", "owner")["role"] == "owner"
    (only,) = run("organisation", "list")["organisations"]
    second = run("organization", "create", "Second", "--terms", "free")
    assert second["terms"] == "free"
    assert run("member", "list") == 2, "which one?"
    (member,) = run("member", "list", "--organization", only["id"])["members"]
    assert member["email"] == "ada@example.org"
    assert run("member", "list", "--organisation", second["id"])["members"] == []


def test_an_organisation_that_was_made_has_terms(run: Run) -> None:
    made = run("organisation", "create", "Acme")
    terms = run("terms", "show", made["id"])["terms"]
    assert [each["kind"] for each in terms] == ["prepaid"]
    later = run("terms", "set", made["id"], "--kind", "postpaid", "--from", "2099-01-01")
    assert run("terms", "set", made["id"], "--kind", "free", "--from", "2099-01-01") == 2
    events = run("audit", "list", "--organisation", made["id"])["events"]
    assert [each["target"] for each in events if each["action"] == "terms.set"] == [
        later["id"],
        terms[0]["id"],
    ]
    assert run("organisation", "rename", made["id"], "Acme Ltd")["name"] == "Acme Ltd"
    assert run("organisation", "rename", "org_none", "x") == 1
    suspended = run("organisation", "suspend", made["id"], "--reason", "unpaid")
    assert suspended["suspended_reason"] == "unpaid"
    assert run("organisation", "resume", made["id"])["suspended_at_ms"] is None


def test_a_project_is_made_changed_and_archived(run: Run) -> None:
    made = run("project", "create", "web")
    changed = run(
        *("project", "set", made["id"], "--models", "a, b", "--retention", "days"),
        *("--retention-days", "7"),
    )
    assert (changed["models"], changed["retention"], changed["retention_days"]) == (
        ["a", "b"],
        "days",
        7,
    )
    assert run("project", "set", made["id"], "--models", "")["models"] is None
    assert run("project", "set", made["id"]) == 2
    assert run("project", "set", made["id"], "--retention-days", "0") == 1
    assert run("project", "archive", made["id"])["archived_at_ms"] is not None


def test_members_are_named_by_address_or_id(run: Run) -> None:
    ada = run("member", "add", "ada@example.org", "--role", "owner", "--name", "Ada")
    run("member", "add", "bob@example.org", "--role", "member")
    project = run("project", "create", "web")["id"]
    here = run("member", "set", "Bob@Example.org", "--role", "viewer", "--project", project)
    assert here["role"] == "viewer"
    assert len(run("member", "list", "--project", project)["members"]) == 1
    run("member", "remove", "bob@example.org", "--project", project)
    assert run("member", "list", "--project", project)["members"] == []
    assert run("member", "set", "bob@example.org", "--role", "owner")["role"] == "owner"
    assert run("member", "remove", ada["subject_id"])["email"] == "ada@example.org"
    assert run("member", "remove", "bob@example.org") == 1, "the last owner"
    assert run("member", "remove", "nobody@example.org") == 1


def test_an_invitation_is_accepted_once(run: Run) -> None:
    made = run("invitation", "create", "bob@example.org", "--role", "billing", "--expires-in", "1h")
    assert made["expires_at_ms"] - made["created_at_ms"] == 3_600_000
    accept = ("invitation", "accept", made["token"], "--email")
    assert run(*accept, "eve@example.org") == 1
    assert run(*accept, "bob@example.org", "--name", "Bob")["role"] == "billing"
    assert run(*accept, "bob@example.org") == 1
    (listed,) = run("invitation", "list")["invitations"]
    assert "token" not in listed
    assert listed["accepted_at_ms"] is not None
    assert run("invitation", "revoke", made["id"]) == 1
    assert run("invitation", "create", "c@example.org", "--expires-in", "soon") == 2
    other = run("invitation", "create", "c@example.org")
    assert run("invitation", "revoke", other["id"])["revoked_at_ms"] is not None


def test_roles_of_their_own(run: Run) -> None:
    made = run("role", "create", "keeper", "--scopes", "projects:read,keys:*")
    assert made["scopes"] == ["keys:read", "keys:write", "projects:read"]
    assert run("role", "set", "keeper", "--scopes", "projects:read")["scopes"] == ["projects:read"]
    names = [each["name"] for each in run("role", "list")["roles"]]
    assert names.count("admin") == 2
    assert names[-1] == "keeper"
    assert len(run("role", "show", "admin")["roles"]) == 2
    assert len(run("role", "show", "admin", "--level", "project")["roles"]) == 1
    assert run("role", "show", "none") == 1
    assert run("role", "delete", "keeper")["name"] == "keeper"
    assert run("role", "create", "owner", "--scopes", "*") == 1


def test_a_service_account_and_its_key(run: Run) -> None:
    project = run("project", "list")["projects"][0]["id"]
    made = run("service-account", "create", "ci", "--project", project)
    assert made["role"] == "developer"
    key = run("key", "create", "--owner", made["id"], "--scopes", "embed,generate")
    assert key["owner_id"] == made["id"]
    assert run("service-account", "set", made["id"], "--role", "viewer")["role"] == "viewer"
    assert run("service-account", "disable", made["id"])["disabled_at_ms"] is not None
    (listed,) = run("service-account", "list", "--project", project)["service_accounts"]
    assert listed["id"] == made["id"]
    (now,) = (each for each in run("key", "list", "--all")["keys"] if each["id"] == key["id"])
    assert now["revoked_at_ms"] is not None


def test_what_people_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    def said(*words: str) -> str:
        with pytest.raises(SystemExit):
            app([*words, "--data-dir", str(tmp_path)])
        return capsys.readouterr().out

    run("member", "add", "ada@example.org", "--role", "owner")
    assert "ada@example.org is owner." in said(
        "member", "set", "ada@example.org", "--role", "owner"
    )
    assert "every organisation's" in said("role", "list")
    issued = said("invitation", "create", "bob@example.org")
    assert issued.startswith("pk_invite_")
    assert "until" in said("invitation", "list")
    assert "active" in said("project", "list")


def test_what_is_not_limited_cannot_be_taken_away(run: Run) -> None:
    project = run("project", "create", "web")["id"]
    assert run("limit", "remove", project) == 1
    assert run("limit", "set", project, "--model", "m", "--requests", "5")["model"] == "m"
    assert run("limit", "remove", project) == 1, "that of all models together"
    assert run("limit", "remove", project, "--model", "m")["requests_per_minute"] is None
    assert run("limit", "list")["limits"] == []
