"""The one command line.

A command is loaded when it is typed: `key list` does without the server, and the server's rooms
take longer to load than most commands take to run.
"""

import gc

from cyclopts import App

_YOUNG_OBJECTS = 100_000

COMMANDS = {
    "serve": (
        "portico.cli.serve:serve",
        "Serve a model to developers: keys, limits, streaming, metering.\n\n"
        "Without --model and --upstream it serves the demo model, which is very small.",
    ),
    "ask": (
        "portico.cli.ask:ask",
        "Stream an answer from the running server, then say what it took.",
    ),
    "key": ("portico.cli.key:app", "Create, change, list and revoke API keys."),
    "batch": ("portico.cli.batch:app", "See how far batches are, and cancel them."),
    "organisation": (
        "portico.cli.tenants.organisation:app",
        "Create, list, rename, suspend and resume organisations.",
    ),
    "admin-key": (
        "portico.cli.tenants.admin_key:app",
        "Create, list and revoke keys of the admin API.",
    ),
    "project": (
        "portico.cli.tenants.project:app",
        "Create, list and archive projects, and say what they allow and keep.",
    ),
    "member": (
        "portico.cli.tenants.member:app",
        "List, add, change and remove members and their roles.",
    ),
    "invitation": (
        "portico.cli.tenants.invitation:app",
        "Ask people to join an organisation.",
    ),
    "role": (
        "portico.cli.tenants.role:app",
        "List roles; create, change and delete an organisation's own.",
    ),
    "service-account": (
        "portico.cli.tenants.service_account:app",
        "Create, list, change and disable service accounts.",
    ),
    "pepper": (
        "portico.cli.tenants.pepper:pepper",
        "Hash new keys with a new secret; old keys go on working.  The server must be stopped.\n\n"
        "For when the file `pepper` may have been read by others: replace the keys afterwards.",
    ),
    "audit": (
        "portico.cli.tenants.audit:app",
        "Who changed what: list, verify, sign, export, black out.",
    ),
    "webhook": (
        "portico.cli.tenants.webhook:app",
        "Tell programs of an organisation what happens; see what arrived, send it again.",
    ),
    "limit": (
        "portico.cli.tenants.limit:app",
        "Limit requests and tokens per minute, and requests at once.",
    ),
    "model": (
        "portico.cli.model:app",
        "Register, order, list and forget engines behind model names; drill a failover.",
    ),
    "price": ("portico.cli.money.prices.price:app", "List, set and import what models cost."),
    "credit": (
        "portico.cli.money.credit:app",
        "Grant credit, set credit limits, see what is left.",
    ),
    "allowance": (
        "portico.cli.money.allowance:app",
        "Give an organisation credit anew in every day or month.",
    ),
    "budget": (
        "portico.cli.money.budget:app",
        "Cap what a key, project or organisation may spend.",
    ),
    "invoice": (
        "portico.cli.money.invoices.commands:app",
        "Make, show and correct invoices; book what was paid.",
    ),
    "alert": (
        "portico.cli.money.alert:app",
        "Who is told when a budget nears its end, and what became of it.",
    ),
    "payment": (
        "portico.cli.money.payment:app",
        "Keep cards, take top-ups, pay back, recharge.",
    ),
    "fake-stripe": (
        "portico.cli.money.fake_stripe:fake_stripe",
        "Serve the part of Stripe's API that payments need, on this machine, in memory.\n\n"
        "Events are signed with `stripe.webhook_secret` and sent to what is registered at\n"
        "/v1/webhook_endpoints.  Test cards do what Stripe's do.",
    ),
    "ledger": ("portico.cli.money.ledger:app", "Audit, verify, sign and export what was charged."),
    "terms": ("portico.cli.money.terms:app", "Show and set how organisations pay."),
    "usage": (
        "portico.cli.usage:usage",
        "Tokens of every request that has ended, from the durable records.",
    ),
    "db": ("portico.cli.db:app", "The database: bring it up to date, check it, make it small."),
    "doctor": (
        "portico.cli.doctor.command:doctor",
        "Check everything Portico needs, and say how to fix what is missing.\n\n"
        "Every upstream of the settings and of `portico model add` is asked for its models.",
    ),
}
"""Where each command is, and its help: said here as well as there, so that `portico --help` loads
none of them."""

ALIASES = {"organisation": ("organization",)}


def _version() -> str:
    # It takes longer to load than everything else that is said here.
    from importlib.metadata import version  # noqa: PLC0415

    return version("portico")


app = App(
    name="portico",
    help="The front door to a model: an API that SDKs speak, with keys, limits and metering.",
    version=_version,
)
for name, (place, says) in COMMANDS.items():
    app.command(place, name=(name, *ALIASES.get(name, ())), help=says)


def main() -> None:
    # Loading a command makes many objects and leaves no garbage: a fifth of the time would be spent
    # looking for some.
    gc.set_threshold(_YOUNG_OBJECTS)
    app()


if __name__ == "__main__":
    main()
