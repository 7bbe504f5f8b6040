"""A name is something that can be read on one line: also on the operator's terminal."""

from collections.abc import Callable
from typing import Any

import pytest

from portico.accounts.actors.model import Errand
from portico.accounts.actors.names import check_name
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key
from portico.accounts.keys.model import KeyChange, KeyWish
from portico.accounts.keys.service import change_key, create_key
from portico.accounts.people.members import add_member
from portico.accounts.people.service_accounts import create_service_account
from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import (
    change_project,
    create_organisation,
    create_project,
    rename_organisation,
)
from portico.cli.output import say_table
from portico.errors import Refusal
from tests.accounts.tenancy import Tenancy

WAYS: dict[str, Callable[[Errand, Tenancy, str], Any]] = {
    "organisation": lambda e, x, name: create_organisation(e, name),
    "organisation, renamed": lambda e, x, name: rename_organisation(e, x.organisation_id, name),
    "project": lambda e, x, name: create_project(e, x.organisation_id, name),
    "project, renamed": lambda e, x, name: change_project(e, x.project_id, ProjectWish(name=name)),
    "key": lambda e, x, name: create_key(e, x.peppers, KeyWish(name), x.project_id),
    "key, renamed": lambda e, x, name: change_key(
        e, create_key(e, x.peppers, KeyWish("k"), x.project_id).key.id, KeyChange(name=name)
    ),
    "admin key": lambda e, x, name: create_admin_key(e, x.peppers, AdminKeyWish(name)),
    "service account": lambda e, x, name: create_service_account(e, x.project_id, name, "viewer"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_steers_a_terminal_is_no_name(tenancy: Tenancy, way: str) -> None:
    act = WAYS[way]
    assert tenancy.refused(lambda e: act(e, tenancy, "a\x1b]0;b\x07")) == "invalid_value"
    assert tenancy.refused(lambda e: act(e, tenancy, "")) == "out_of_range"
    tenancy.do(lambda e: act(e, tenancy, "Zoë & Søn [x] 株式会社 👩\u200d🔬"))


def test_nor_of_a_person(tenancy: Tenancy) -> None:
    assert (
        tenancy.refused(
            lambda e: add_member(e, tenancy.organisation_id, "n@example.org", "member", "a\nb")
        )
        == "invalid_value"
    )


@pytest.mark.parametrize(
    "name", ["a\n", "\x00", "a\x7f", "\u2028", "\udc80", "\u202egpj.exe", "\x9b31m", "x" * 201]
)
def test_what_cannot_be_seen_on_one_line_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_name(name)
    assert refused.value.field == "name"
    refused.value.message.encode()  # it can be told


def test_a_name_with_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("name",), [("[/x] [bold]loud[/bold]",)])
    assert "[/x] [bold]loud[/bold]" in capsys.readouterr().out
