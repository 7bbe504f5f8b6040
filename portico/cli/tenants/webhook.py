"""`portico webhook`: who is told what happens in an organisation, and what became of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import App, Parameter, Token

from portico.accounts.actors.model import Errand
from portico.accounts.webhooks import service
from portico.app import CannotStart
from portico.app.watching import alerts_of
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.tenants.errands import (
    DataDir,
    Json,
    Organisation,
    done,
    duration_ms,
    meant,
    peppers_of,
    seen,
)
from portico.cli.words import moment
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.routing.keys import seal_of
from portico.webhooks.model import Endpoint, EndpointChange, EndpointWish, IssuedEndpoint, Sent

app = App(
    name="webhook",
    help="Tell programs of an organisation what happens; see what arrived, send it again.",
)


def _words(_: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """`a,b c` as ("a", "b", "c")."""
    return tuple(" ".join(token.value for token in tokens).replace(",", " ").split())


Kinds = Annotated[
    tuple[str, ...] | None,
    Parameter(
        help="With commas, such as key.revoked,invoice.made (docs/guides/webhooks.md).",
        negative="",
        converter=_words,
        n_tokens=1,
        accepts_keys=False,
    ),
]


@app.command(name="list")
def list_all(
    *,
    organisation: Annotated[
        str | None,
        Parameter(
            name=("--organisation", "--organization"),
            help="Its id; left out: every organisation's.",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Every webhook, or those of one organisation."""
    found = seen(data_dir, lambda errand: service.list_endpoints(errand, organisation))
    if json:
        say_json({"webhooks": [asdict(each) for each in found]})
        return
    say_table(
        ("id", "organisation", "project", "url", "kinds", "state"),
        [
            (
                each.id,
                each.organisation_id,
                each.project_id or "all",
                each.url,
                " ".join(each.kinds or ("all",)),
                _state(each),
            )
            for each in found
        ],
    )


@app.command
def create(
    url: str,
    /,
    *,
    kinds: Kinds = None,
    project: Annotated[
        str | None, Parameter(help="Only what is about this project; left out: everything.")
    ] = None,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Tell a URL what happens.  Its secret is shown once.

    Example: `portico webhook create https://hooks.example/portico --kinds key.revoked`
    """
    private, seal = _private_allowed(data_dir), _seal(data_dir)

    def act(errand: Errand) -> IssuedEndpoint:
        wish = EndpointWish(meant(errand, organisation), url, project, kinds)
        return service.create_endpoint(errand, seal, wish, private_allowed=private)

    _show(done(data_dir, act), "is told", json=json)


@app.command(name="set")
def set_one(
    webhook_id: str,
    /,
    *,
    url: Annotated[str | None, Parameter(help="Where it is from now on.")] = None,
    kinds: Kinds = None,
    every_kind: Annotated[bool, Parameter(negative="", help="Tell it everything.")] = False,
    enable: Annotated[bool, Parameter(negative="", help="Let it be told again.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change where a webhook is and what it is told."""
    wish = EndpointChange(url, () if every_kind else kinds, False if enable else None)
    _change(webhook_id, wish, data_dir, json=json)


@app.command
def disable(webhook_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Tell it nothing until `portico webhook set ID --enable`."""
    _change(webhook_id, EndpointChange(disabled=True), data_dir, json=json)


@app.command
def delete(webhook_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Forget a webhook and its secret.  What waits for it is given up."""
    before = done(data_dir, lambda errand: service.delete_endpoint(errand, webhook_id))
    _say(before, "is deleted", json=json)


@app.command
def rotate(
    webhook_id: str,
    /,
    *,
    overlap: Annotated[
        str, Parameter(help="How long the old secret signs, too: 24h, 30m, 0m for not at all.")
    ] = "24h",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """A new secret, shown once."""
    seal, overlap_ms = _seal(data_dir), duration_ms(overlap, "--overlap")
    issued = done(
        data_dir, lambda errand: service.rotate_secret(errand, seal, webhook_id, overlap_ms)
    )
    _show(issued, "has a new secret", json=json)


@app.command
def deliveries(
    webhook_id: str,
    /,
    *,
    most: Annotated[int, Parameter(help="The newest so many.")] = 50,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What was and is to be sent to a webhook."""
    found = seen(data_dir, lambda errand: service.list_sent(errand, webhook_id, most))
    if json:
        say_json({"deliveries": [asdict(each) for each in found]})
        return
    _table(found)


@app.command
def attempts(delivery_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Every attempt at one delivery, and what was answered."""
    sent, found = seen(data_dir, lambda errand: service.attempts_of(errand, delivery_id))
    if json:
        say_json({"delivery": asdict(sent), "attempts": [asdict(each) for each in found]})
        return
    say_table(
        ("at (UTC)", "answer", "number"),
        [(moment(each.at_ms), each.outcome, each.number) for each in found],
        numbers=1,
    )


@app.command
def replay(delivery_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Let a running server send a delivery again: the same event under the same `webhook-id`."""
    sent = done(data_dir, lambda errand: service.replay(errand, delivery_id))
    if json:
        say_json(asdict(sent))
        return
    console.print(f"{sent.id} ({sent.kind}) is sent again.", markup=False)


@app.command(name="test")
def try_out(webhook_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Send an event of the kind `webhook.test` now.  Exit code 0 only when it arrived."""
    delivery_id = done(data_dir, lambda errand: service.send_test(errand, webhook_id)).id
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        alerts = alerts_of(settings, database_of(settings), SystemClock())
    except CannotStart as error:
        stop(Exit.USAGE, error.says)

    async def deliver() -> None:
        while await alerts.deliver():
            continue

    asyncio.run(deliver())
    sent, _ = seen(data_dir, lambda errand: service.attempts_of(errand, delivery_id))
    if json:
        say_json(asdict(sent))
    else:
        _table([sent])
    if sent.state != "delivered":
        stop(Exit.FAILED, "not delivered; a running server goes on trying.")


def _change(webhook_id: str, wish: EndpointChange, data_dir: str | None, *, json: bool) -> None:
    private = _private_allowed(data_dir)
    after = done(
        data_dir,
        lambda errand: service.change_endpoint(errand, webhook_id, wish, private_allowed=private),
    )
    _say(after, "is told" if after.disabled_at_ms is None else "is told nothing", json=json)


def _private_allowed(data_dir: str | None) -> bool:
    settings = settings_for(None, server={"data_dir": data_dir})
    return settings.alerts.private_addresses_allowed


def _seal(data_dir: str | None) -> Seal:
    return seal_of(peppers_of(data_dir))


def _show(issued: IssuedEndpoint, says: str, *, json: bool) -> None:
    if json:
        say_json({**asdict(issued.endpoint), "secret": issued.secret})
        return
    _say(issued.endpoint, says, json=False)
    console.print(f"secret: {issued.secret}", markup=False)
    console.print("It is shown only now.", markup=False)


def _say(endpoint: Endpoint, says: str, *, json: bool) -> None:
    if json:
        say_json(asdict(endpoint))
        return
    what = f" of {' '.join(endpoint.kinds)}" if says == "is told" and endpoint.kinds else ""
    console.print(f"{endpoint.id}: {endpoint.url} {says}{what}.", markup=False)


def _state(endpoint: Endpoint) -> str:
    return "told" if endpoint.disabled_at_ms is None else f"disabled: {endpoint.disabled_reason}"


def _table(found: Sequence[Sent]) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            each.id,
            moment(each.created_at_ms),
            each.kind,
            each.state,
            each.last or "-",
            each.attempts,
        )
        for each in found
    ]
    say_table(("delivery", "at (UTC)", "kind", "state", "last answer", "attempts"), rows, numbers=1)
