"""Make, change, try out and delete endpoints; look at what was sent to them, and send it again.

One of a project is for whoever has `webhooks:*` there; one of the whole organisation for whoever has
it in the organisation.
"""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.projects.service import project_of
from portico.accounts.projects.theirs import theirs
from portico.accounts.webhooks.addresses import check_url
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.kit.sealing import Seal
from portico.webhooks import outbox, store
from portico.webhooks.endpoints import sealed
from portico.webhooks.model import (
    ENDPOINT,
    Attempt,
    Endpoint,
    EndpointChange,
    EndpointWish,
    Event,
    IssuedEndpoint,
    Sent,
    Target,
)
from portico.webhooks.rules import KINDS, round_after, secret_text

OVERLAP_MS = 86_400_000
"""How long a secret that was replaced signs, too, unless somebody says otherwise."""
_OVERLAP_MS_MAX = 30 * 86_400_000
_SECRET_BYTES = 32
SENT_MAX = 1_000
BY_HAND = "disabled by hand"


def create_endpoint(
    errand: Errand, seal: Seal, wish: EndpointWish, *, private_allowed: bool
) -> IssuedEndpoint:
    """private_allowed: may its URL lead to this machine or to a private network?

    Raises: Refusal: resource_not_found, permission_denied, invalid_value, conflict.
    """
    theirs(errand, wish.organisation_id)
    if wish.project_id is not None:
        project = project_of(errand, wish.project_id)
        if project.organisation_id != wish.organisation_id:
            raise unknown("project", wish.project_id)
    errand.require("webhooks:write", wish.project_id)
    check_url(wish.url, private_allowed=private_allowed)
    kinds = _checked(wish.kinds)
    errand.check_room(
        "webhooks in this organisation",
        errand.caps.webhooks,
        lambda: len(store.endpoints(errand.connection, wish.organisation_id)),
    )
    made = Endpoint(
        new_id(ENDPOINT),
        wish.organisation_id,
        wish.project_id,
        wish.url,
        kinds,
        errand.clock.wall_ms(),
    )
    secret = _new_secret()
    store.add(errand.connection, made, sealed(seal, secret, made.id))
    errand.note(made.organisation_id, "webhook.create", made.id, after=asdict(made))
    return IssuedEndpoint(made, secret)


def list_endpoints(errand: Errand, organisation_id: str | None = None) -> list[Endpoint]:
    """Those that whoever asks may read, oldest first, disabled ones included."""
    errand.require_anywhere("webhooks:read")
    if organisation_id is not None:
        theirs(errand, organisation_id)
    whose = organisation_id or errand.by.organisation_id
    return [
        each
        for each in store.endpoints(errand.connection, whose)
        if "webhooks:read" in errand.by.within(each.project_id)
    ]


def endpoint_of(errand: Errand, endpoint_id: str) -> Endpoint:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require_anywhere("webhooks:read")
    found = store.endpoint(errand.connection, errand.by.organisation_id, endpoint_id)
    if found is None or "webhooks:read" not in errand.by.within(found.project_id):
        raise unknown("webhook", endpoint_id)
    return found


def change_endpoint(
    errand: Errand, endpoint_id: str, wish: EndpointChange, *, private_allowed: bool
) -> Endpoint:
    """The endpoint as it is afterwards.

    Raises: Refusal: resource_not_found, permission_denied, invalid_value.
    """
    before = _writable(errand, endpoint_id)
    after = before
    if wish.url is not None:
        check_url(wish.url, private_allowed=private_allowed)
        after = replace(after, url=wish.url)
    if wish.kinds is not None:
        after = replace(after, kinds=_checked(wish.kinds or None))
    if wish.disabled is False:
        after = replace(after, disabled_at_ms=None, disabled_reason=None)
    elif wish.disabled and before.disabled_at_ms is None:
        now_ms = errand.clock.wall_ms()
        after = replace(after, disabled_at_ms=now_ms, disabled_reason=BY_HAND)
    if after != before:
        values = asdict(after)
        values["kinds"] = store.words(after.kinds)
        store.change(errand.connection, before, values)
        verb = "update" if before.disabled_at_ms == after.disabled_at_ms else _verb(after)
        errand.note(
            before.organisation_id,
            f"webhook.{verb}",
            before.id,
            asdict(before),
            asdict(after),
        )
    return after


def rotate_secret(
    errand: Errand, seal: Seal, endpoint_id: str, overlap_ms: int = OVERLAP_MS
) -> IssuedEndpoint:
    """A new secret; the old one signs for `overlap_ms` more, beside it.

    Raises: Refusal: resource_not_found, permission_denied, out_of_range.
    """
    before = _writable(errand, endpoint_id)
    if not 0 <= overlap_ms <= _OVERLAP_MS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'overlap' is {overlap_ms} ms; it must be 0 to {_OVERLAP_MS_MAX}.",
            field="overlap",
            value=overlap_ms,
            limit=_OVERLAP_MS_MAX,
        )
    secret = _new_secret()
    former = store.secrets(errand.connection, before)[0] if overlap_ms else None
    until_ms = errand.clock.wall_ms() + overlap_ms if overlap_ms else None
    after = replace(before, former_until_ms=until_ms)
    values = {
        "secret": sealed(seal, secret, before.id),
        "former_secret": former,
        "former_until_ms": until_ms,
    }
    store.change(errand.connection, before, values)
    errand.note(before.organisation_id, "webhook.rotate", before.id, asdict(before), asdict(after))
    return IssuedEndpoint(after, secret)


def delete_endpoint(errand: Errand, endpoint_id: str) -> Endpoint:
    """As it was.  What waits for it is given up."""
    before = _writable(errand, endpoint_id)
    store.remove(errand.connection, before)
    errand.note(before.organisation_id, "webhook.delete", before.id, before=asdict(before))
    return before


def send_test(errand: Errand, endpoint_id: str) -> Sent:
    """An event of the kind `webhook.test`, to this endpoint alone, on its way now.

    Raises: Refusal: resource_not_found, permission_denied; conflict, for one that is disabled.
    """
    to = _writable(errand, endpoint_id)
    _check_enabled(to)
    event = Event(
        "webhook.test",
        new_id("test"),
        to.organisation_id,
        f"This is a test: events arrive at {to.url}.",
        {"organisation_id": to.organisation_id, "id": to.id},
    )
    transaction = Transaction(errand.connection)
    outbox.put_only(transaction, event, [Target("webhook", to.id)], errand.clock.wall_ms())
    errand.note(to.organisation_id, "webhook.test", to.id)
    return store.sent(errand.connection, to, 1)[0]


def list_sent(errand: Errand, endpoint_id: str, most: int = 50) -> list[Sent]:
    """What was and is to be sent to it, the newest first."""
    endpoint = endpoint_of(errand, endpoint_id)
    return store.sent(errand.connection, endpoint, max(1, min(most, SENT_MAX)))


def attempts_of(errand: Errand, delivery_id: str) -> tuple[Sent, Sequence[Attempt]]:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    found, _ = _delivery(errand, delivery_id)
    return found, store.attempts(errand.connection, delivery_id)


def replay(errand: Errand, delivery_id: str) -> Sent:
    """Send it once more, now, whatever became of it: the same body under the same `webhook-id`, and
    tried again for as long as at first.

    Raises: Refusal: resource_not_found, permission_denied; conflict, for an endpoint that is
    disabled.
    """
    found, to = _delivery(errand, delivery_id)
    errand.require("webhooks:write", to.project_id)
    _check_enabled(to)
    tried = store.tried(errand.connection, delivery_id)
    now_ms = errand.clock.wall_ms()
    store.send_again(errand.connection, delivery_id, round_after(tried), now_ms)
    errand.note(to.organisation_id, "webhook.replay", to.id, after={"delivery_id": found.id})
    return replace(found, state="waiting", due_at_ms=now_ms, resolved_at_ms=None)


def _delivery(errand: Errand, delivery_id: str) -> tuple[Sent, Endpoint]:
    errand.require_anywhere("webhooks:read")
    to = store.where_sent(errand.connection, errand.by.organisation_id, delivery_id)
    if to is None or "webhooks:read" not in errand.by.within(to.project_id):
        raise unknown("delivery", delivery_id)
    return store.one_sent(errand.connection, to, delivery_id), to


def _writable(errand: Errand, endpoint_id: str) -> Endpoint:
    found = endpoint_of(errand, endpoint_id)
    errand.require("webhooks:write", found.project_id)
    return found


def _check_enabled(endpoint: Endpoint) -> None:
    if endpoint.disabled_at_ms is not None:
        raise errors.CONFLICT(
            f"The webhook {endpoint.id!r} is disabled ({endpoint.disabled_reason}).",
            field="id",
            remedy="Let it be told again first.",
        )


def _checked(kinds: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Raises: Refusal: invalid_value."""
    for each in kinds or ():
        if each not in KINDS:
            raise errors.INVALID_VALUE(
                f"There is no kind of event {each[:100]!r}.",
                field="kinds",
                value=each[:100],
                limit=list(KINDS),
            )
    return tuple(dict.fromkeys(kinds)) if kinds else None


def _verb(after: Endpoint) -> str:
    return "enable" if after.disabled_at_ms is None else "disable"


def _new_secret() -> str:
    return secret_text(secrets.token_bytes(_SECRET_BYTES))
