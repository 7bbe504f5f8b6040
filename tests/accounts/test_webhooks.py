"""Endpoints: made, changed and shown to those who may, and never to a stranger."""

from collections.abc import Callable
from typing import Any

import pytest

from portico.accounts.actors.model import Errand
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.accounts.projects.service import resume, suspend
from portico.accounts.service import establish
from portico.accounts.webhooks import service
from portico.routing.keys import seal_of
from portico.webhooks.model import EndpointChange, EndpointWish, IssuedEndpoint
from portico.webhooks.rules import secret_bytes
from tests.accounts.tenancy import Tenancy

URL = "https://hooks.example/portico"


def made(
    tenancy: Tenancy,
    project_id: str | None = None,
    kinds: tuple[str, ...] | None = None,
    by: str | None = None,
    url: str = URL,
) -> IssuedEndpoint:
    wish = EndpointWish(tenancy.organisation_id, url, project_id, kinds)
    seal = seal_of(tenancy.peppers)
    return tenancy.do(lambda e: service.create_endpoint(e, seal, wish, private_allowed=False), by)


def told(tenancy: Tenancy, endpoint_id: str) -> list[str]:
    """Kinds of what waits for it, oldest first."""
    return [each.kind for each in tenancy.do(lambda e: service.list_sent(e, endpoint_id))][::-1]


def test_the_secret_is_shown_once_and_lies_nowhere(tenancy: Tenancy) -> None:
    issued = made(tenancy)
    assert len(secret_bytes(issued.secret)) == 32
    stored = tenancy.rows("SELECT secret FROM webhook_endpoint")
    details = tenancy.rows("SELECT after FROM audit_detail WHERE after IS NOT NULL")
    assert issued.secret not in repr((stored, details, issued))
    assert tenancy.do(service.list_endpoints) == [issued.endpoint]
    assert tenancy.actions()[-1] == "webhook.create"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://hooks.example:8443/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://localhost/",
        "https://db.localhost./",
        "https://metadata.google.internal/",
        "https://database/",
        "https://127%2e0%2e0%2e1/",
        "https://localhost%00.hooks.example/",
        "https://127.0.0.1;hooks.example/",
        "https://user:secret@hooks.example/",
        "https://hooks.example\\@127.0.0.1/",
        "ftp://hooks.example/",
        "hooks.example",
        "",
        "https://hooks.example/" + "a" * 2_000,
    ],
)
def test_nothing_leads_inside(tenancy: Tenancy, url: str) -> None:
    endpoint_id = made(tenancy).endpoint.id
    change = EndpointChange(url=url)
    wish = EndpointWish(tenancy.organisation_id, url)
    seal = seal_of(tenancy.peppers)
    for act in (
        lambda e: service.create_endpoint(e, seal, wish, private_allowed=False),
        lambda e: service.change_endpoint(e, endpoint_id, change, private_allowed=False),
    ):
        assert tenancy.refused(act, tenancy.ada) == "invalid_value"


def test_where_addresses_inside_are_allowed_they_are(tenancy: Tenancy) -> None:
    wish = EndpointWish(tenancy.organisation_id, "http://127.0.0.1:8080/hook")
    seal = seal_of(tenancy.peppers)
    tenancy.do(lambda e: service.create_endpoint(e, seal, wish, private_allowed=True))


def test_a_kind_that_does_not_exist_is_refused(tenancy: Tenancy) -> None:
    wish = EndpointWish(tenancy.organisation_id, URL, None, ("key.revoked", "key.%"))
    seal = seal_of(tenancy.peppers)
    code = tenancy.refused(lambda e: service.create_endpoint(e, seal, wish, private_allowed=False))
    assert code == "invalid_value"


def test_it_is_changed_disabled_enabled_and_deleted(tenancy: Tenancy) -> None:
    id = made(tenancy).endpoint.id

    def change(wish: EndpointChange) -> Any:
        return tenancy.do(
            lambda e: service.change_endpoint(e, id, wish, private_allowed=False), tenancy.ada
        )

    other = "https://other.example/"
    assert change(EndpointChange(url=other, kinds=("key.revoked",))).url == other
    assert change(EndpointChange(disabled=True)).disabled_reason == service.BY_HAND
    assert tenancy.refused(lambda e: service.send_test(e, id)) == "conflict"
    after = change(EndpointChange(disabled=False, kinds=()))
    assert (after.disabled_at_ms, after.kinds, after.url) == (None, None, other)
    change(EndpointChange())  # changes nothing, and notes nothing
    tenancy.do(lambda e: service.delete_endpoint(e, id), tenancy.ada)
    assert tenancy.do(service.list_endpoints) == []
    assert tenancy.actions()[-4:] == [
        "webhook.update",
        "webhook.disable",
        "webhook.enable",
        "webhook.delete",
    ]


def _everything(
    tenancy: Tenancy, endpoint_id: str, delivery_id: str
) -> list[Callable[[Errand], Any]]:
    seal = seal_of(tenancy.peppers)
    stop = EndpointChange(disabled=True)
    return [
        lambda e: service.endpoint_of(e, endpoint_id),
        lambda e: service.change_endpoint(e, endpoint_id, stop, private_allowed=False),
        lambda e: service.rotate_secret(e, seal, endpoint_id),
        lambda e: service.delete_endpoint(e, endpoint_id),
        lambda e: service.send_test(e, endpoint_id),
        lambda e: service.list_sent(e, endpoint_id),
        lambda e: service.attempts_of(e, delivery_id),
        lambda e: service.replay(e, delivery_id),
    ]


def test_what_is_somebody_elses_is_not_there(tenancy: Tenancy) -> None:
    endpoint_id = made(tenancy).endpoint.id
    delivery_id = tenancy.do(lambda e: service.send_test(e, endpoint_id)).id
    stranger = Tenancy.__new__(Tenancy)
    stranger.__dict__ |= tenancy.__dict__
    stranger.organisation_id = tenancy.do(lambda e: establish(e, "Other")).id
    eve = stranger.joined("eve", "owner")
    before = tenancy.rows("SELECT state || attempts || due_at_ms FROM delivery")
    for act in _everything(tenancy, endpoint_id, delivery_id):
        assert stranger.refused(act, eve) == "resource_not_found"
    for act in _everything(tenancy, "whk_0", "msg_0"):
        assert stranger.refused(act, eve) == "resource_not_found"
    wish = EndpointWish(tenancy.organisation_id, URL)
    into = EndpointWish(stranger.organisation_id, URL, tenancy.project_id)
    seal = seal_of(tenancy.peppers)
    for each in (wish, into):
        assert (
            stranger.refused(
                lambda e, each=each: service.create_endpoint(e, seal, each, private_allowed=False),
                eve,
            )
            == "resource_not_found"
        )
    assert stranger.do(service.list_endpoints, eve) == []
    assert tenancy.rows("SELECT state || attempts || due_at_ms FROM delivery") == before


def test_who_reads_does_not_change_and_who_has_nothing_is_told_so(tenancy: Tenancy) -> None:
    endpoint_id = made(tenancy).endpoint.id
    delivery_id = tenancy.do(lambda e: service.send_test(e, endpoint_id)).id
    auditor, member = tenancy.joined("aud", "auditor"), tenancy.joined("mem", "member")
    acts = _everything(tenancy, endpoint_id, delivery_id)
    for number in (0, 5, 6):
        tenancy.do(acts[number], auditor)
    for number in (1, 2, 3, 4, 7):
        assert tenancy.refused(acts[number], auditor) == "permission_denied"
    for act in acts:
        assert tenancy.refused(act, member) == "permission_denied"


def test_a_revoked_key_and_a_suspension_are_told_to_those_who_want_them(tenancy: Tenancy) -> None:
    every = made(tenancy).endpoint.id
    keys_only = made(tenancy, kinds=("key.revoked",)).endpoint.id
    here = made(tenancy, tenancy.project_id).endpoint.id
    elsewhere = made(tenancy, tenancy.other_id).endpoint.id
    key = tenancy.do(lambda e: create_key(e, tenancy.peppers, KeyWish("k"), tenancy.project_id))
    tenancy.do(lambda e: revoke_key(e, key.key.id, "found in public"))
    tenancy.do(lambda e: suspend(e, tenancy.organisation_id, "unpaid"))
    tenancy.do(lambda e: resume(e, tenancy.organisation_id))
    assert sorted(told(tenancy, every)) == [
        "key.revoked",
        "organisation.restored",
        "organisation.suspended",
    ]
    assert told(tenancy, keys_only) == ["key.revoked"]
    assert told(tenancy, here) == ["key.revoked"]
    assert told(tenancy, elsewhere) == []
    (body,) = tenancy.rows("SELECT body FROM alert WHERE kind = 'key.revoked'")
    assert "found in public" in body
    assert key.secret not in body


def test_nobody_writes_what_nobody_wants(tenancy: Tenancy) -> None:
    tenancy.do(lambda e: suspend(e, tenancy.organisation_id, "unpaid"))
    assert tenancy.rows("SELECT id FROM alert") == []
