"""A name is something that can be read on one line: also on the operator's terminal."""

from collections.abc import Callable
from typing import Any

import pytest

from portico.accounts.actors.model import Errand
from portico.accounts.actors.names import check_name
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key, revoke_admin_key
from portico.accounts.catalogue.deployments import add_deployment
from portico.accounts.catalogue.prices import set_prices
from portico.accounts.keys.model import KeyChange, KeyWish
from portico.accounts.keys.service import change_key, create_key, revoke_key
from portico.accounts.people.members import add_member
from portico.accounts.people.service_accounts import create_service_account
from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import (
    change_project,
    create_organisation,
    create_project,
    rename_organisation,
    suspend,
)
from portico.cli.output import say_table
from portico.errors import Refusal
from portico.pricing.model import PriceWish
from portico.routing.model import RegistrationWish
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
    "deployment": lambda e, x, name: add_deployment(e, RegistrationWish(name, "http://h.test/v1")),
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


TEXTS: dict[str, Callable[[Errand, Tenancy, str], Any]] = {
    "why it is suspended": lambda e, x, text: suspend(e, x.organisation_id, text),
    "why a key is revoked": lambda e, x, text: revoke_key(
        e, create_key(e, x.peppers, KeyWish("k"), x.project_id).key.id, text
    ),
    "why an admin key is revoked": lambda e, x, text: revoke_admin_key(
        e, create_admin_key(e, x.peppers, AdminKeyWish("k")).key.id, text
    ),
}


@pytest.mark.parametrize("way", TEXTS)
def test_nor_does_a_reason_steer_one(tenancy: Tenancy, way: str) -> None:
    """It is shown to the operator and, of an organisation, to everybody who asks with its keys."""
    act = TEXTS[way]
    for text, code in (
        ("a\x1b]0;b\x07", "invalid_value"),
        ("unpaid\r\nportico: all is well", "invalid_value"),
        ("\u202edray", "invalid_value"),
        ("x" * 501, "out_of_range"),
    ):
        assert tenancy.refused(lambda e, text=text: act(e, tenancy, text)) == code
    for text in ("", "unpaid since March: 3 € [x]", "x" * 500):
        tenancy.do(lambda e, text=text: act(e, tenancy, text))


def test_an_address_that_is_none_is_not_kept(tenancy: Tenancy) -> None:
    token = tenancy.invited("new@example.org", "member")
    assert isinstance(tenancy.accepted(token, "\x1b[2Jnew@example.org"), Refusal)
    (told,) = tenancy.rows("SELECT after FROM audit_detail ORDER BY rowid DESC LIMIT 1")
    assert "made for another address" in told
    assert "2J" not in told


@pytest.mark.parametrize("model", ["a\x9b31m", "\u202egpj", "a\n", "\udc80"])
def test_nor_is_it_the_name_of_what_has_a_price(tenancy: Tenancy, model: str) -> None:
    wish = PriceWish(model=model, meter="input_text", nano_per_million=1)
    assert tenancy.refused(lambda e: set_prices(e, [wish])) == "invalid_value"


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
