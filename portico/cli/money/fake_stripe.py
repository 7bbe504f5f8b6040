"""`portico fake-stripe`: something to pay at where no card is charged."""

import random
import socket
from typing import Annotated

import uvloop
from cyclopts import Parameter

from portico.billing.fake_stripe.app import FakeStripe
from portico.billing.fake_stripe.courier import Courier, Switches
from portico.billing.fake_stripe.server import serve
from portico.cli.output import Exit, console, say_json, stop
from portico.cli.place import settings_for
from portico.kit.clock import SystemClock


def fake_stripe(
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes a free one.")] = 12111,
    duplicate: Annotated[float, Parameter(help="Share of events sent twice, 0 to 1.")] = 0.0,
    reorder: Annotated[float, Parameter(help="Share sent after later ones.")] = 0.0,
    drop: Annotated[float, Parameter(help="Share not sent at all.")] = 0.0,
    delay: Annotated[float, Parameter(help="Seconds before any is sent.")] = 0.0,
    json: Annotated[bool, Parameter(negative="", help="Say that it is ready in JSON.")] = False,
) -> None:
    """Serve the part of Stripe's API that payments need, on this machine, in memory.

    Events are signed with `stripe.webhook_secret` and sent to what is registered at
    /v1/webhook_endpoints.  Test cards do what Stripe's do.
    """
    settings = settings_for(None)
    if not settings.stripe.webhook_secret:
        stop(
            Exit.USAGE,
            "there is no secret to sign events with.",
            fix="Set PORTICO_STRIPE_WEBHOOK_SECRET to any 32 characters or more, here and for "
            "`portico serve`.",
        )
    if not all(0 <= share <= 1 for share in (duplicate, reorder, drop)) or delay < 0:
        stop(Exit.USAGE, "a share is between 0 and 1, and a delay not negative.")
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        stop(Exit.PORT, f"cannot listen on 127.0.0.1:{port}: {error.strerror}.")
    clock = SystemClock()
    courier = Courier(settings.stripe.webhook_secret, clock, random.Random())
    courier.switches = Switches(duplicate, reorder, drop, delay)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def ready() -> None:
        if json:
            say_json({"api_base": url})
            return
        console.print(f"A Stripe that charges nobody is ready at {url}", markup=False)
        console.print("Ctrl-C stops it, and forgets everything.")

    with listening:
        uvloop.run(serve(FakeStripe(clock, courier), listening, ready))
