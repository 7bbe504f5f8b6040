"""Webhooks of organisations and projects, and what was sent to them."""

from msgspec import UNSET, Struct, UnsetType

from portico import errors
from portico.accounts.projects.service import project_of
from portico.accounts.webhooks import service
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, Moment, page_of_all, rfc3339, said
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


class Attempt(Struct):
    """outcome: in words, of whoever was asked."""

    number: int
    at: Moment
    outcome: str


WEBHOOK = Shape("webhook", Endpoint, ("former_until_ms",), {"former_secret_until": Moment | None})
DELIVERY = Shape("webhook_delivery", Sent, ("due_at_ms",), {"due_at": Moment | None})
_ISSUED = WEBHOOK.with_secret(_SECRET)
_TRIED = DELIVERY.with_more("Tried", tried=list[Attempt])


def webhook(found: Endpoint) -> Told:
    return WEBHOOK.told(found, former_secret_until=rfc3339(found.former_until_ms))


def delivery(found: Sent) -> Told:
    due_ms = found.due_at_ms if found.state == "waiting" else None
    return DELIVERY.told(found, due_at=rfc3339(due_ms))


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
    gone = service.delete_endpoint(ask.errand, ask.id)
    return {"object": WEBHOOK.kind, "id": gone.id, "deleted": True}


def _rotate(ask: Ask) -> Told:
    overlap_ms = ask.body.overlap_s * 1000
    return _issued(service.rotate_secret(ask.errand, ask.secrets.seal, ask.id, overlap_ms))


def _test(ask: Ask) -> Told:
    return delivery(service.send_test(ask.errand, ask.id))


def _sent(ask: Ask) -> Told:
    """The newest first."""
    found = service.list_sent(ask.errand, ask.id, service.SENT_MAX)
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
    return (*_of_webhooks(), *_of_deliveries())


def _of_webhooks() -> tuple[Operation, ...]:
    one, read, write = "/webhooks/{id}", "webhooks:read", "webhooks:write"
    return (
        Operation(
            "GET",
            "/webhooks",
            read,
            "Webhooks.",
            _list,
            WEBHOOK.page,
            query=("organisation_id", *PAGED),
        ),
        Operation(
            "POST",
            "/webhooks",
            write,
            "Tell a URL what happens.",
            _create,
            _ISSUED,
            NewWebhook,
            _SECRET,
        ),
        Operation("GET", one, read, "One webhook.", _one, WEBHOOK.type),
        Operation(
            "PATCH",
            one,
            write,
            "Change or disable a webhook.",
            _change,
            WEBHOOK.type,
            WebhookChanges,
        ),
        Operation("DELETE", one, write, "Forget a webhook and its secret.", _delete, WEBHOOK.gone),
        Operation(
            "POST",
            f"{one}/rotate",
            write,
            "A new secret; both sign for an overlap.",
            _rotate,
            _ISSUED,
            Rotation,
            _SECRET,
        ),
        Operation("POST", f"{one}/test", write, "Send it a test.", _test, DELIVERY.type),
    )


def _of_deliveries() -> tuple[Operation, ...]:
    one, read, write = "/webhook_deliveries/{id}", "webhooks:read", "webhooks:write"
    return (
        Operation(
            "GET",
            "/webhooks/{id}/deliveries",
            read,
            "What was sent to it, or waits: the newest first, 1,000 of them.",
            _sent,
            DELIVERY.page,
            query=PAGED,
        ),
        Operation("GET", one, read, "One delivery, and every attempt at it.", _one_sent, _TRIED),
        Operation(
            "POST",
            f"{one}/replay",
            write,
            "Send it again, under the same `webhook-id`.",
            _replay,
            DELIVERY.type,
        ),
    )
