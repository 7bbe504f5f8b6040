"""Webhooks of organisations and projects, and what was sent to them."""

from dataclasses import asdict

from msgspec import UNSET, Struct, UnsetType

from portico import errors
from portico.accounts.projects.service import project_of
from portico.accounts.webhooks import service
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, limit_of, page_of_all, plain, rfc3339, said
from portico.webhooks.model import Endpoint, EndpointChange, EndpointWish, IssuedEndpoint, Sent

_SECRET = "secret"


class NewWebhook(Struct):
    """project_id: only what is about this project; else organisation_id, and everything there.
    kinds: of events; left out for all of them."""

    url: str
    organisation_id: str | None = None
    project_id: str | None = None
    kinds: list[str] | None = None


class WebhookChanges(Struct):
    """kinds: null for all of them.  disabled: true tells it nothing any more."""

    url: str | UnsetType = UNSET
    kinds: list[str] | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET


class Rotation(Struct):
    """overlap_s: how long the old secret signs, too, in seconds."""

    overlap_s: int = service.OVERLAP_MS // 1000


def webhook(found: Endpoint) -> Told:
    return {
        **plain(asdict(found), "webhook", "former_until_ms"),
        "former_secret_until": rfc3339(found.former_until_ms),
    }


def delivery(found: Sent) -> Told:
    shown = plain(asdict(found), "webhook_delivery")
    if found.state != "waiting":
        shown["due_at"] = None
    return shown


def _issued(made: IssuedEndpoint) -> Told:
    return {**webhook(made.endpoint), _SECRET: made.secret}


def _list(ask: Ask) -> Told:
    organisation_id = ask.query.get("organisation_id") or None
    return page_of_all(ask, service.list_endpoints(ask.errand, organisation_id), webhook)


def _create(ask: Ask) -> Told:
    new: NewWebhook = ask.body
    organisation_id = new.organisation_id
    if organisation_id is None:
        if new.project_id is None:
            raise errors.MISSING_FIELD(
                "'organisation_id' is missing.",
                field="organisation_id",
                remedy="Say which organisation or project it is about.",
            )
        organisation_id = project_of(ask.errand, new.project_id).organisation_id
    kinds = tuple(new.kinds) if new.kinds else None
    wish = EndpointWish(organisation_id, new.url, new.project_id, kinds)
    seal = ask.secrets.seal
    return _issued(service.create_endpoint(ask.errand, seal, wish, private_allowed=False))


def _one(ask: Ask) -> Told:
    return webhook(service.endpoint_of(ask.errand, ask.id))


def _change(ask: Ask) -> Told:
    new: WebhookChanges = ask.body
    kinds = None if new.kinds is UNSET else tuple(new.kinds or ())
    wish = EndpointChange(said(new.url), kinds, said(new.disabled))
    return webhook(service.change_endpoint(ask.errand, ask.id, wish, private_allowed=False))


def _delete(ask: Ask) -> Told:
    return webhook(service.delete_endpoint(ask.errand, ask.id))


def _rotate(ask: Ask) -> Told:
    overlap_ms = ask.body.overlap_s * 1000
    return _issued(service.rotate_secret(ask.errand, ask.secrets.seal, ask.id, overlap_ms))


def _test(ask: Ask) -> Told:
    return delivery(service.send_test(ask.errand, ask.id))


def _sent(ask: Ask) -> Told:
    """The newest first, and no page after the first: what is older nobody waits for."""
    found = service.list_sent(ask.errand, ask.id, limit_of(ask))
    return page_of_all(ask, found, delivery)


def _one_sent(ask: Ask) -> Told:
    found, attempts = service.attempts_of(ask.errand, ask.id)
    tried = [
        {"number": each.number, "at": rfc3339(each.at_ms), "outcome": each.outcome}
        for each in attempts
    ]
    return {**delivery(found), "tried": tried}


def _replay(ask: Ask) -> Told:
    return delivery(service.replay(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    read, write = "webhooks:read", "webhooks:write"
    one, sent = "/webhooks/{id}", "/webhook_deliveries/{id}"
    return (
        Operation("GET", "/webhooks", read, "Webhooks.", _list, query=("organisation_id", *PAGED)),
        Operation(
            "POST", "/webhooks", write, "Tell a URL what happens.", _create, NewWebhook, _SECRET
        ),
        Operation("GET", one, read, "One webhook.", _one),
        Operation("PATCH", one, write, "Change or disable a webhook.", _change, WebhookChanges),
        Operation("DELETE", one, write, "Forget a webhook and its secret.", _delete),
        Operation(
            "POST",
            f"{one}/rotate",
            write,
            "A new secret; both sign for an overlap.",
            _rotate,
            Rotation,
            _SECRET,
        ),
        Operation("POST", f"{one}/test", write, "Send it a test.", _test),
        Operation(
            "GET",
            f"{one}/deliveries",
            read,
            "The newest that was sent to it, or waits.",
            _sent,
            query=("limit",),
        ),
        Operation("GET", sent, read, "One delivery, and every attempt at it.", _one_sent),
        Operation(
            "POST", f"{sent}/replay", write, "Send it again, under the same `webhook-id`.", _replay
        ),
    )
