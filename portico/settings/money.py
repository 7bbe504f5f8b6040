"""What money needs: prices, invoices, payments, alerts, audits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Pricing(Struct, frozen=True, forbid_unknown_fields=True):
    """What is set aside before a request runs, for organisations that pay."""

    output_tokens_max: Annotated[
        int,
        Meta(ge=1, description="Assumed of an answer that neither caller nor model limits."),
    ] = 16_384
    window_tokens: Annotated[
        int,
        Meta(ge=16, description="Output of a stream that is set aside at a time."),
    ] = 1_024


class Invoices(Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks for the money.  What is right for tax is for your accountant to say."""

    entity: Annotated[str, Meta(description="Legal entity; each has its own numbers.")] = "main"
    seller_name: Annotated[str, Meta(description="Full name; nothing is invoiced without.")] = ""
    seller_address: Annotated[tuple[str, ...], Meta(description="Line by line.")] = ()
    seller_country: Annotated[str, Meta(pattern="^([A-Z]{2})?$", description="Such as DE.")] = ""
    seller_vat_id: Annotated[str, Meta(description="VAT id, printed as it is.")] = ""
    number_prefix: Annotated[str, Meta(description="Before the year of a number.")] = "INV-"
    credit_note_prefix: Annotated[str, Meta(description="The same; another one.")] = "CN-"
    tax_point: Annotated[Literal["top_up", "use"], Meta(description="When credit is taxed.")] = (
        "use"
    )
    due_days: Annotated[int, Meta(ge=0, le=365, description="Time to pay an invoice.")] = 14
    automatic: Annotated[
        bool,
        Meta(description="A server invoices each month that is over, for whoever is postpaid."),
    ] = False
    font_file: Annotated[str, Meta(description="TrueType font of PDFs; else Bitstream Vera.")] = ""


class Dunning(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when an invoice is not paid; days from the one it is due."""

    notice_days: Annotated[tuple[int, ...], Meta(description="A notice on each.")] = (0, 3, 7, 14)
    read_only_day: Annotated[int, Meta(description="Nothing more on account.")] = 21
    suspended_day: Annotated[int, Meta(description="Nothing that costs; all data stays.")] = 28
    every_s: Annotated[
        float,
        Meta(
            ge=0, description="Between two looks while serving; 0: only `portico invoice remind`."
        ),
    ] = 3_600.0


class Stripe(Struct, frozen=True, forbid_unknown_fields=True):
    """Cards (extra `stripe`)."""

    secret_key: Annotated[
        str,
        Meta(
            description="sk_... or rk_..., in the environment and nowhere else; empty takes no "
            "payments."
        ),
    ] = ""
    webhook_secret: Annotated[
        str,
        Meta(
            pattern=r"^(\S{32,})?$",
            description="Proves that events are Stripe's, 32 characters or more; without it there "
            "is no route for them, and only the poller credits.  Better in the environment.",
        ),
    ] = ""
    mode: Annotated[
        Literal["test", "live"], Meta(description="Which money the key moves; it must agree.")
    ] = "test"
    api_base: Annotated[
        str,
        Meta(
            pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)?$",
            description="Another server that speaks Stripe's API, in test mode; empty is Stripe.",
        ),
    ] = ""
    poll_s: Annotated[
        float,
        Meta(ge=1, le=300, description="Between two looks at what events did not bring."),
    ] = 60.0
    credit_days: Annotated[
        int, Meta(ge=1, le=36_500, description="How long credit that was paid for lasts.")
    ] = 365


class Replay(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of requests that name an Idempotency-Key, so that a retry runs nothing."""

    keep_s: Annotated[
        int, Meta(ge=60, description="How long a key and its answer are kept, from its end.")
    ] = 86_400
    answer_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=67_108_864,
            description="Larger answers are not kept; a retry is then refused, never run twice.",
        ),
    ] = 1_048_576
    bytes_per_project_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Of all answers kept for a project (by one server); what would exceed it is "
            "treated like a larger answer.",
        ),
    ] = 268_435_456


class Alerts(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told, and how; budgets may name addresses of their own."""

    webhook_url: Annotated[str, Meta(description="Where the operator's alerts are posted.")] = ""
    webhook_secret: Annotated[
        str,
        Meta(
            pattern=r"^(whsec_[A-Za-z0-9+/=]{32,88})?$",
            description="Signs every webhook: `whsec_` and Base64 of 24 to 64 bytes; without it none "
            "is sent.  Better in the environment.",
        ),
    ] = ""
    private_addresses_allowed: Annotated[
        bool, Meta(description="Webhooks may go to this machine and to private networks.")
    ] = False
    every_s: Annotated[float, Meta(gt=0, description="Between two looks at budgets.")] = 10.0


class Mail(Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's mail server."""

    host: Annotated[str, Meta(description="SMTP server; empty sends no mail.")] = ""
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 587
    security: Annotated[
        Literal["none", "starttls", "tls"], Meta(description="How the connection is protected.")
    ] = "starttls"
    user: Annotated[str, Meta(description="To log in as; empty does not log in.")] = ""
    password: Annotated[str, Meta(description="Its password; better in the environment.")] = ""
    sender: Annotated[str, Meta(description="Address that mails come from.")] = "portico@localhost"
    to: Annotated[str, Meta(description="Who gets the operator's alerts; empty nobody.")] = ""


class Audit(Struct, frozen=True, forbid_unknown_fields=True):
    """The books, checked while serving: by one of several servers."""

    every_s: Annotated[float, Meta(ge=0, description="Between two audits; 0 makes none.")] = 3_600.0
