"""Every setting: typed, bounded, its unit in its name.  Only `app` and `cli` may import this.

Read from `portico.toml` (section and key), then from the environment (`PORTICO_<SECTION>_<KEY>`,
lists separated by commas), then from command-line flags; the later wins.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct


class SettingsInvalid(Exception):
    """One clear sentence: which setting, where it came from, what it must be."""


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Portico listens and how it ends."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port; 0 takes a free one.")] = 8080
    data_dir: Annotated[
        str, Meta(min_length=1, description="Folder for the database and its secrets.")
    ] = "portico-data"
    hosts_allowed: Annotated[
        tuple[str, ...],
        Meta(description="Host names a request may name; empty allows any."),
    ] = ()
    drain_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="How long open streams may finish after SIGTERM."),
    ] = 120.0


Origin = Annotated[str, Meta(pattern=r"^(\*|https?://[^/?#\s]+)$")]
"""Scheme, host and perhaps port, as browsers send it: nothing behind, or it would never match."""


class Edge(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send, and how slowly."""

    headers_max: Annotated[int, Meta(ge=8, description="Header fields per request.")] = 100
    header_bytes_max: Annotated[
        int, Meta(ge=1024, description="Request line and headers together.")
    ] = 16_384
    header_read_s: Annotated[
        float, Meta(gt=0, description="From the first byte to the end of the headers.")
    ] = 10.0
    body_bytes_max: Annotated[
        int, Meta(ge=1024, description="Request body, as sent and as decoded.")
    ] = 33_554_432
    body_read_s: Annotated[
        float, Meta(gt=0, description="From the end of the headers to the end of the body.")
    ] = 60.0
    body_bytes_per_s_min: Annotated[
        int, Meta(ge=0, description="Mean pace a body must keep after `body_grace_s`; 0 asks none.")
    ] = 1_024
    body_grace_s: Annotated[
        float, Meta(gt=0, description="How long a body may take to find its pace.")
    ] = 5.0
    write_idle_s: Annotated[
        float, Meta(gt=0, description="How long a client may stop reading its answer.")
    ] = 30.0
    keep_alive_s: Annotated[
        float, Meta(gt=0, description="How long an idle connection stays open.")
    ] = 65.0
    linger_s: Annotated[
        float,
        Meta(gt=0, description="How long a refused connection is read, so that it sees why."),
    ] = 2.0
    connections_max: Annotated[int, Meta(ge=1, description="Open client connections.")] = 10_000
    connections_per_ip_max: Annotated[
        int, Meta(ge=1, description="Open client connections from one address.")
    ] = 10_000
    compression: Annotated[
        bool, Meta(description="Accept bodies in gzip, deflate, br and zstd.")
    ] = True
    origins_allowed: Annotated[
        tuple[Origin, ...],
        Meta(
            description="Web pages whose scripts may call this server (CORS), such as "
            "https://app.example; * allows any, empty none.  A key in a page is everybody's key."
        ),
    ] = ()


class Queue(Struct, frozen=True, forbid_unknown_fields=True):
    """The waiting room in front of each model."""

    requests_max: Annotated[int, Meta(ge=0, description="Requests that may wait per model.")] = (
        1_000
    )
    wait_s: Annotated[
        float, Meta(gt=0, description="Longest wait before a 503 with Retry-After.")
    ] = 10.0
    key_concurrency: Annotated[
        int, Meta(ge=1, description="Requests one key may have open, unless it says otherwise.")
    ] = 4_096


class Engine(Struct, frozen=True, forbid_unknown_fields=True):
    """The embedded engine: llama.cpp in a child process."""

    enabled: Annotated[
        bool, Meta(description="Start it.  With upstreams only, it may stay off.")
    ] = True
    model: Annotated[
        str, Meta(description="A GGUF file to serve; empty serves the demo model.")
    ] = ""
    name: Annotated[
        str, Meta(description="Model name developers use; empty takes the file's name.")
    ] = ""
    context_tokens: Annotated[
        int, Meta(ge=256, description="Context shared by all requests running at once.")
    ] = 32_768
    parallel: Annotated[int, Meta(ge=1, le=256, description="Requests it runs at once.")] = 8
    threads: Annotated[
        int, Meta(ge=0, description="CPU threads; 0 chooses (1 for the demo model).")
    ] = 0
    memory_bytes_max: Annotated[
        int, Meta(ge=0, description="Heap of the child, weights not counted; 0 sets no limit.")
    ] = 0
    share_prefix_cache: Annotated[
        bool,
        Meta(
            description="Reuse prompt prefixes between requests.  Faster, but whoever sends a "
            "prompt can tell that somebody sent its beginning before: keep off with "
            "tenants who must not see each other."
        ),
    ] = False


class Upstream(Struct, frozen=True, forbid_unknown_fields=True):
    """How to talk to engines over HTTP."""

    urls: Annotated[
        tuple[str, ...],
        Meta(description="OpenAI-compatible servers to register, such as http://host:8000/v1."),
    ] = ()
    api_key: Annotated[
        str, Meta(description="Key sent to the servers in `urls`; better in the environment.")
    ] = ""
    models: Annotated[
        tuple[str, ...],
        Meta(description="Models to serve of those that the `urls` list; empty takes all."),
    ] = ()
    models_max: Annotated[
        int,
        Meta(
            ge=1,
            description="Models taken from one server's list when `models` names none; each is tried "
            "with a tiny answer, which may cost money.",
        ),
    ] = 16
    transport: Annotated[
        Literal["native", "aiohttp"],
        Meta(description="The HTTP client; aiohttp is for HTTP proxies and odd TLS."),
    ] = "native"
    proxy: Annotated[str, Meta(description="HTTP proxy URL (aiohttp transport only).")] = ""
    ca_file: Annotated[
        str, Meta(description="PEM file of authorities to trust instead of the system's.")
    ] = ""
    connections_max: Annotated[
        int, Meta(ge=1, description="Open connections per upstream, and requests run at once.")
    ] = 4_096
    connect_s: Annotated[float, Meta(gt=0, description="Look-up, TCP and TLS.")] = 5.0
    first_byte_s: Annotated[float, Meta(gt=0, description="From sent to first byte.")] = 120.0
    idle_s: Annotated[float, Meta(gt=0, description="Longest silence within an answer.")] = 30.0
    total_s: Annotated[float, Meta(gt=0, description="Longest answer.")] = 600.0


class Database(Struct, frozen=True, forbid_unknown_fields=True):
    """Where everything is recorded."""

    url: Annotated[
        str,
        Meta(
            description="postgresql://user:password@host/database (extra `postgres`); empty keeps "
            "a SQLite file in the data directory.  Better in the environment."
        ),
    ] = ""


class Storage(Struct, frozen=True, forbid_unknown_fields=True):
    """When recording usage is in danger, admission closes first."""

    free_bytes_min: Annotated[
        int, Meta(ge=0, description="Free disk space below which no new request is admitted.")
    ] = 67_108_864
    reserve_bytes: Annotated[
        int, Meta(ge=0, description="Space kept aside so that settlement works on a full disk.")
    ] = 16_777_216


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
    font_file: Annotated[str, Meta(description="TrueType font of PDFs; else Bitstream Vera.")] = ""


class Dunning(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when an invoice is not paid; days from the one it is due."""

    notice_days: Annotated[tuple[int, ...], Meta(description="A notice on each.")] = (0, 3, 7, 14)
    read_only_day: Annotated[int, Meta(description="Nothing more on account.")] = 21
    suspended_day: Annotated[int, Meta(description="Nothing that costs; all data stays.")] = 28


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


class Observe(Struct, frozen=True, forbid_unknown_fields=True):
    """Logs and metrics."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe line shown.")
    ] = "info"
    log_format: Annotated[
        Literal["console", "json"], Meta(description="For people, or one JSON object per line.")
    ] = "console"
    access_log: Annotated[
        bool, Meta(description="Log every request; off logs refusals from 500 up.")
    ] = False
    metrics_token: Annotated[
        str, Meta(description="Bearer token GET /metrics asks for; empty leaves it open.")
    ] = ""


class Client(Struct, frozen=True, forbid_unknown_fields=True):
    """What `portico ask` uses to reach a running server."""

    base_url: Annotated[
        str, Meta(description="Its API address; empty asks the server of `server.data_dir`.")
    ] = ""
    api_key: Annotated[str, Meta(description="The key to send; better in the environment.")] = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    edge: Edge = Edge()
    queue: Queue = Queue()
    engine: Engine = Engine()
    upstream: Upstream = Upstream()
    database: Database = Database()
    storage: Storage = Storage()
    pricing: Pricing = Pricing()
    invoices: Invoices = Invoices()
    dunning: Dunning = Dunning()
    stripe: Stripe = Stripe()
    replay: Replay = Replay()
    alerts: Alerts = Alerts()
    mail: Mail = Mail()
    audit: Audit = Audit()
    observe: Observe = Observe()
    client: Client = Client()


SECTIONS: dict[str, type[Struct]] = get_type_hints(Settings)
SECRETS = frozenset(
    {
        ("upstream", "api_key"),
        ("database", "url"),
        ("alerts", "webhook_secret"),
        ("mail", "password"),
        ("stripe", "secret_key"),
        ("stripe", "webhook_secret"),
        ("observe", "metrics_token"),
        ("client", "api_key"),
    }
)
ENVIRONMENT_ONLY = frozenset({("stripe", "secret_key")})
"""Never in a file that is shared, copied and kept."""
_ENV_PREFIX = "PORTICO_"


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Defaults, then `file` (default: portico.toml here, if there is one), then the environment,
    then `flags` ({section: {key: value}}).

    Raises: SettingsInvalid, naming the setting, its source and what it must be.
    """
    merged: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sources: dict[str, str] = {}
    for source, values in (
        _from_file(file),
        _from_environment(os.environ if environment is None else environment),  # noqa: TID251 - the one place
        ("command line", flags or {}),
    ):
        for section, keys in values.items():
            _check_place(source, section, keys)
            merged.setdefault(section, {}).update(keys)
            sources.update({f"{section}.{key}": source for key in keys})
    return _checked(merged, sources)


def _check_place(source: str, section: str, keys: Mapping[str, Any]) -> None:
    """Raises: SettingsInvalid."""
    for key in keys:
        if (section, key) in ENVIRONMENT_ONLY and source != "environment":
            raise SettingsInvalid(
                f"{source}: {section}.{key} belongs into the environment, as "
                f"{environment_name(section, key)}."
            )


def environment_name(section: str, key: str) -> str:
    return f"{_ENV_PREFIX}{section.upper()}_{key.upper()}"


def _from_file(file: Path | None) -> tuple[str, dict[str, Any]]:
    path = Path("portico.toml") if file is None else file
    if file is None and not path.exists():
        return str(path), {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: not valid TOML: {error}") from error
    for section, keys in found.items():
        if section not in SECTIONS:
            raise SettingsInvalid(
                f"{path}: there is no section [{section}]; known: {', '.join(SECTIONS)}."
            )
        if not isinstance(keys, dict):
            raise SettingsInvalid(f"{path}: {section!r} must be a section, [{section}].")
    return str(path), found


def _from_environment(environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    known = {
        environment_name(section, key): (section, key)
        for section, kind in SECTIONS.items()
        for key in kind.__struct_fields__
    }
    found: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(_ENV_PREFIX):
            continue
        if name not in known:
            raise SettingsInvalid(f"the environment sets {name}, which is not a setting.")
        section, key = known[name]
        found.setdefault(section, {})[key] = _from_text(section, key, environment[name])
    return "environment", found


def _from_text(section: str, key: str, text: str) -> Any:
    """Lists are comma-separated in the environment; the rest is converted by its type later."""
    default = getattr(SECTIONS[section](), key)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _checked(merged: dict[str, dict[str, Any]], sources: dict[str, str]) -> Settings:
    sections: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        for key in merged[name]:
            if key not in kind.__struct_fields__:
                source = sources.get(f"{name}.{key}", "settings")
                raise SettingsInvalid(
                    f"{source}: there is no setting {name}.{key}; "
                    f"known: {', '.join(kind.__struct_fields__)}."
                )
        sections[name] = _convert(name, kind, merged[name], sources)
    return Settings(**sections)


def _convert(
    name: str, kind: type[Struct], values: dict[str, Any], sources: dict[str, str]
) -> Struct:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`").split("[")[0]
        source = sources.get(f"{name}.{key}", "settings")
        shown = "(hidden)" if (name, key) in SECRETS else repr(values.get(key))
        raise SettingsInvalid(f"{source}: {name}.{key} is {shown}: {what}.") from error
