"""How Portico serves: where it listens, what it lets in, which engines it uses, what it says."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


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
    proxies_trusted: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks of your own proxies, such as 10.0.0.0/8: their X-Forwarded-For says "
            "who the client is."
        ),
    ] = ()
    https: Annotated[
        bool,
        Meta(
            description="TLS ends at a proxy in front: clients are told to come by it only (HSTS)."
        ),
    ] = False
    drain_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="How long open streams may finish after SIGTERM."),
    ] = 120.0


class Admin(Struct, frozen=True, forbid_unknown_fields=True):
    """The admin API, /admin/v1."""

    enabled: Annotated[bool, Meta(description="Serve it.")] = True
    port: Annotated[
        int,
        Meta(ge=0, le=65535, description="A port of its own; 0 serves it where the API is."),
    ] = 0
    host: Annotated[
        str, Meta(description="Address to listen on with a port of its own; empty: `server.host`.")
    ] = ""
    requests_per_minute: Annotated[
        int, Meta(ge=1, description="What one of its keys may ask, of each server.")
    ] = 600
    failures_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            description="How often one address (IPv6: one /64) may come without a key that opens, "
            "to each server.",
        ),
    ] = 60


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
    bodies_bytes_max: Annotated[
        int,
        Meta(ge=1024, description="All bodies of more than 64 KiB that are being answered."),
    ] = 268_435_456
    body_read_s: Annotated[
        float,
        Meta(
            gt=0,
            description="From the end of the headers to the end of the body; where it is a file, "
            "each stretch in which it has to keep its pace.",
        ),
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


class Media(Struct, frozen=True, forbid_unknown_fields=True):
    """Files: those that a request names by URL (without `fetch` every such request is refused; an
    engine never fetches anything in either case), and what is decoded of all of them."""

    fetch: Annotated[bool, Meta(description="Let Portico fetch them from the Internet.")] = False
    fetch_http: Annotated[bool, Meta(description="Also from http:// URLs.")] = False
    fetch_bytes_max: Annotated[int, Meta(ge=1_024, le=20_000_000, description="Of one file.")] = (
        20_000_000
    )
    fetch_s: Annotated[
        float, Meta(gt=0, le=60, description="For one file, redirects included.")
    ] = 10.0
    fetch_never: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks, such as 203.0.113.0/24, that nothing is fetched from, besides "
            "all that are not on the Internet."
        ),
    ] = ()
    pixels_max: Annotated[
        int,
        Meta(
            ge=10_000,
            le=100_000_000,
            description="Of one image; with more it is refused before it is decoded.",
        ),
    ] = 25_000_000
    pixels_sent_max: Annotated[
        int,
        Meta(ge=10_000, description="Of one image as an engine gets it; larger ones are shrunk."),
    ] = 25_000_000
    pdf_pages_max: Annotated[
        int, Meta(ge=1, le=2_000, description="Of one PDF file; with more it is refused.")
    ] = 100
    pdf_characters_max: Annotated[
        int, Meta(ge=1_000, description="Of the text of one PDF file; with more it is refused.")
    ] = 1_000_000
    pdf_images_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Pages of one PDF file that a model that sees is also shown as images.",
        ),
    ] = 20
    pdf_images_for: Annotated[
        tuple[str, ...],
        Meta(
            description="Models that are shown pages as images although their engine (vLLM, SGLang) "
            "does not say that it sees."
        ),
    ] = ()
    sound_s_max: Annotated[
        int, Meta(ge=1, description="Length of one sound, by its header (WAV).")
    ] = 3_600
    workers: Annotated[
        int, Meta(ge=1, le=16, description="Processes that decode images and PDF files at once.")
    ] = 1
    decode_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="For one file; then its decoder is ended.")
    ] = 10.0
    decode_wait_s: Annotated[
        float, Meta(gt=0, le=60, description="For a free decoder, before a 503.")
    ] = 10.0
    decode_bytes_max: Annotated[
        int,
        Meta(
            ge=67_108_864, description="Memory for one file, besides what a decoder needs itself."
        ),
    ] = 314_572_800


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
    key_counts: Annotated[
        int, Meta(ge=1, description="Questions for token counts one key may have open.")
    ] = 16
    model_counts: Annotated[
        int,
        Meta(
            ge=1,
            description="Token counts made for a model at once, beside its requests; more of them "
            "wait as requests do.",
        ),
    ] = 32


class Rates(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits per minute (`portico limit`): who counts."""

    valkey_url: Annotated[
        str,
        Meta(
            description="Valkey, where several servers share their counts, such as "
            "valkey://127.0.0.1:6379; empty: this server counts alone."
        ),
    ] = ""
    valkey_timeout_ms: Annotated[
        int,
        Meta(ge=1, le=5_000, description="Longest wait for it; then a server keeps to its share."),
    ] = 250


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
    data_use: Annotated[
        Literal["own", "no_training", "may_train"],
        Meta(
            description="What whoever runs the `urls` does with prompts: own (it is yours), "
            "no_training, may_train.  Projects say how much they allow."
        ),
    ] = "no_training"
    efforts: Annotated[
        tuple[Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"], ...],
        Meta(
            description="Reasoning efforts that the models of the `urls` take; empty leaves it to "
            "the server, whose first refusal of one is remembered."
        ),
    ] = ()
    cache_scope: Annotated[
        Literal["organisation", "project"],
        Meta(
            description="Whose requests share what vLLM and SGLang have read before (their prefix "
            "cache): all of an organisation, or of a project."
        ),
    ] = "organisation"
    load_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How often vLLM, SGLang and llama.cpp are asked for their load, which "
            "/metrics shows; 0 never.",
        ),
    ] = 5.0
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
    reports_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Longest a statement of a report (usage, costs, the audit log) may take; an "
            "organisation has one under way at a time.",
        ),
    ] = 10.0


class Storage(Struct, frozen=True, forbid_unknown_fields=True):
    """When recording usage is in danger, admission closes first."""

    free_bytes_min: Annotated[
        int, Meta(ge=0, description="Free disk space below which no new request is admitted.")
    ] = 67_108_864
    reserve_bytes: Annotated[
        int, Meta(ge=0, description="Space kept aside so that settlement works on a full disk.")
    ] = 16_777_216


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
