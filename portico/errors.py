"""Every refusal a caller can meet: code, status, whose fault, retryable, remedy, page.

`raise errors.OUT_OF_RANGE("'n' is 0; it must be at least 1.", field="n", value=0, limit=1)`.
Each code has a page in docs/errors/<code>.md; the suite fails on one that has none.
"""

from dataclasses import dataclass
from typing import Any, Literal

Fault = Literal["caller", "operator", "upstream", "portico"]


class Refusal(Exception):
    """A refusal on its way to the caller.

    field, value, limit: what was wrong, what it was, what it may be; None where there is none.
    retry_after_ms: when trying again makes sense; None when it never does.
    remedy: what to do; the entry's own words where this case has none of its own.
    lines: header lines that go with it (what is left of limits), b"" for none.
    standing: what is left of limits per minute (`rates.model.Standing`), which each dialect tells
      in headers of its own; None where none is known.
    """

    __slots__ = (
        "entry",
        "field",
        "limit",
        "lines",
        "message",
        "remedy",
        "retry_after_ms",
        "standing",
        "value",
    )

    def __init__(
        self,
        entry: "Entry",
        message: str,
        *,
        field: str | None = None,
        value: Any = None,
        limit: Any = None,
        retry_after_ms: int | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.entry = entry
        self.message = message
        self.field = field
        self.value = value
        self.limit = limit
        self.retry_after_ms = retry_after_ms
        self.remedy = remedy or entry.remedy
        self.lines = b""
        self.standing: Any = None

    @property
    def code(self) -> str:
        return self.entry.code

    @property
    def status(self) -> int:
        return self.entry.status

    @property
    def told(self) -> str:
        """What people read: what is wrong and, unless that says it already, what to do."""
        return self.message if self.entry.says_all else f"{self.message} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue.  Calling it makes the refusal to raise.

    kind: the error type in OpenAI's envelope; other dialects map it in their own `errors.py`.
    retryable: may the very same request succeed later?  Where not, SDKs are told so
      (`x-should-retry: false`).
    says_all: its messages end in the rule that was broken ("...; it must be at least 1."), so that
      the remedy after them would only repeat it.
    """

    code: str
    status: int
    fault: Fault
    kind: str
    retryable: bool
    remedy: str
    says_all: bool = False

    def __call__(
        self,
        message: str,
        *,
        field: str | None = None,
        value: Any = None,
        limit: Any = None,
        retry_after_ms: int | None = None,
        remedy: str = "",
    ) -> Refusal:
        return Refusal(
            self,
            message,
            field=field,
            value=value,
            limit=limit,
            retry_after_ms=retry_after_ms,
            remedy=remedy,
        )


CATALOGUE: dict[str, Entry] = {}

_BAD = "invalid_request_error"


def _entry(
    code: str,
    status: int,
    remedy: str,
    *,
    fault: Fault = "caller",
    kind: str = _BAD,
    retryable: bool = False,
    says_all: bool = False,
) -> Entry:
    entry = Entry(code, status, fault, kind, retryable, remedy, says_all)
    CATALOGUE[code] = entry
    return entry


# At the edge
BAD_REQUEST = _entry("bad_request", 400, "Send well-formed HTTP/1.1.", says_all=True)
BAD_HOST = _entry("bad_host", 400, "Send exactly one Host header, naming this server.")
EXPECTATION_FAILED = _entry(
    "expectation_failed", 417, "Leave the Expect header out, or expect 100-continue.", says_all=True
)
HEADERS_TOO_LARGE = _entry(
    "headers_too_large", 431, "Send fewer or shorter headers; put long data in the body."
)
NOT_FOUND = _entry("not_found", 404, "Check the path; API paths start with /v1.")
METHOD_NOT_ALLOWED = _entry(
    "method_not_allowed", 405, "Use one of the methods in the Allow header.", says_all=True
)
UPGRADE_REQUIRED = _entry(
    "upgrade_required",
    426,
    "Open a WebSocket here (`wss://`, version 13), or POST the request to the same path.",
)
ORIGIN_NOT_ALLOWED = _entry(
    "origin_not_allowed",
    403,
    "Call from a server of yours; operators: `edge.origins_allowed` lists pages that may.",
)
BODY_TOO_LARGE = _entry(
    "body_too_large", 413, "Send a smaller body, or ask the operator to raise the limit."
)
BODY_TIMEOUT = _entry(
    "body_timeout", 408, "Send the whole body without long pauses.", retryable=True
)
UNSUPPORTED_ENCODING = _entry(
    "unsupported_encoding", 415, "Use Content-Encoding gzip, deflate, br or zstd, or none."
)
CORRUPT_ENCODING = _entry(
    "corrupt_encoding", 400, "Compress the body again, or send it uncompressed."
)

# Who is calling
MISSING_KEY = _entry(
    "missing_api_key", 401, "Send your key as `Authorization: Bearer pk_live_...`."
)
INVALID_KEY = _entry(
    "invalid_api_key", 401, "Check it for missing characters, or create a new one."
)
KEY_REVOKED = _entry("api_key_revoked", 401, "Use another key; a revoked one never comes back.")
KEY_EXPIRED = _entry("api_key_expired", 401, "Create a new key.")
TWO_CREDENTIALS = _entry("two_credentials", 400, "Send one key, in one place.")
PERMISSION_DENIED = _entry(
    "permission_denied", 403, "Use a key that has the scope, or ask for it to be given to this one."
)
ADDRESS_NOT_ALLOWED = _entry(
    "address_not_allowed", 403, "Call from a network this key allows, or use another key."
)
ORGANISATION_SUSPENDED = _entry(
    "organization_suspended", 403, "Ask the operator; nothing that was stored is lost."
)
PROJECT_ARCHIVED = _entry("project_archived", 403, "Use a key of another project.")

# What is kept here
RESOURCE_NOT_FOUND = _entry(
    "resource_not_found", 404, "Check the id, and that it belongs to what your key can see."
)
PREVIOUS_RESPONSE_NOT_FOUND = _entry(
    "previous_response_not_found", 400, "Send the earlier turns in 'input' instead."
)
CONVERSATION_LOCKED = _entry(
    "conversation_locked",
    409,
    "Wait for `Retry-After` and send it again: requests in one conversation are answered in turn.",
    retryable=True,
)
CONFLICT = _entry("conflict", 409, "Read the object again; what was asked does not fit its state.")
RIGHTS_EXCEEDED = _entry("rights_exceeded", 403, "Ask for no more than you have yourself.")
ZERO_RETENTION = _entry(
    "zero_retention",
    403,
    "Use a project that keeps content; operators: `portico project set --retention`.",
)
STORAGE_QUOTA = _entry(
    "storage_quota_exceeded",
    403,
    "Delete files that are not needed any more, or have the limit raised.",
)
OBJECT_LIMIT = _entry(
    "object_limit_reached",
    403,
    "End or delete what is not needed any more, or ask the operator: he can make more.",
)
REPORT_TOO_LONG = _entry(
    "report_too_long", 400, "Ask for a shorter time, for one project or model, or for fewer groups."
)
FILE_TOO_LARGE = _entry(
    "file_too_large", 413, "Send a smaller file; a larger one can be sent in parts (/v1/uploads)."
)
FILE_TYPE = _entry(
    "file_type_not_allowed", 400, "Send a file of one of the types the message names."
)
RANGE_NOT_SATISFIABLE = _entry(
    "range_not_satisfiable", 416, "Ask for bytes that the file has, or for all of it."
)
LAST_OWNER = _entry("last_owner", 409, "Make somebody else an owner first.")
INVITATION_INVALID = _entry(
    "invitation_invalid",
    403,
    "Give the address it was sent to, or ask for a new one: it counts once, and not for ever.",
)

# The body
INVALID_JSON = _entry("invalid_json", 400, "Send a valid JSON document in UTF-8.", says_all=True)
INVALID_FORM = _entry(
    "invalid_form", 400, "Send multipart/form-data, as `curl -F` and the SDKs do.", says_all=True
)
NOT_AN_OBJECT = _entry("body_not_an_object", 400, "Send a JSON object.", says_all=True)
JSON_TOO_DEEP = _entry("json_too_deep", 400, "Nest the body less deeply.", says_all=True)
MISSING_FIELD = _entry("missing_field", 400, "Add it.")
INVALID_TYPE = _entry(
    "invalid_type", 400, "Send the field with the type the message names.", says_all=True
)
UNKNOWN_FIELD = _entry(
    "unknown_field",
    400,
    "Leave it out; a key that is not strict (`portico key set`) may send it.",
)
INVALID_VALUE = _entry(
    "invalid_value", 400, "Use one of the values the message names.", says_all=True
)
OUT_OF_RANGE = _entry(
    "out_of_range", 400, "Stay within the limit the message names.", says_all=True
)
LONE_SURROGATE = _entry(
    "lone_surrogate", 400, "Send whole characters: mostly an emoji was cut in two."
)
INVALID_SCHEMA = _entry(
    "invalid_json_schema", 400, "Correct the schema at the place the message names.", says_all=True
)
INVALID_MEDIA = _entry("invalid_media", 400, "Check the file, and encode it anew.")
MEDIA_TOO_LARGE = _entry("media_too_large", 413, "Send a smaller file.")
MEDIA_URL_REFUSED = _entry(
    "media_url_not_supported",
    400,
    "Send the file inline as a base64 `data:` URL; operators: `media.fetch` lets Portico fetch it.",
)
MEDIA_NOT_FETCHED = _entry(
    "media_url_not_fetched", 400, "Check the URL, or send the file inline as a `data:` URL."
)
SEALED_ITEM_INVALID = _entry(
    "sealed_item_invalid", 400, "Send the item as it was given, or leave it out."
)
SEALED_ITEM_EXPIRED = _entry(
    "sealed_item_expired", 400, "Leave the item out, or send what it stands for."
)

# The model
MODEL_NOT_FOUND = _entry("model_not_found", 404, "List the models with GET /v1/models.")
DATA_USE = _entry(
    "data_use_not_allowed",
    403,
    "Choose another model; operators: `portico project set` says what a project allows.",
)
UNSUPPORTED_FEATURE = _entry(
    "unsupported_feature", 400, "Leave the feature out, or choose a model that has it."
)
CONTEXT_LENGTH = _entry(
    "context_length_exceeded", 400, "Shorten the messages, or ask for fewer output tokens."
)
POISON_REQUEST = _entry("poison_request", 400, "Change the request, or ask another model.")

# Asked before
IDEMPOTENCY_KEY_INVALID = _entry(
    "invalid_idempotency_key",
    400,
    "Send one key of 1 to 255 visible ASCII characters, such as a UUID.",
    says_all=True,
)
IDEMPOTENCY_KEY_REUSED = _entry(
    "idempotency_key_reused", 409, "Send a new key with every new request."
)
IDEMPOTENCY_KEY_IN_USE = _entry(
    "idempotency_key_in_use",
    409,
    "Wait for `Retry-After` and send it again: when the first has ended, you get its answer.",
    retryable=True,
)
IDEMPOTENT_ANSWER_NOT_KEPT = _entry(
    "idempotent_answer_not_kept",
    409,
    "Send a new key to run it again, at its price; operators: `replay.answer_bytes_max`.",
)

# Room to run
CONCURRENCY = _entry(
    "concurrency_exceeded",
    429,
    "Wait for `Retry-After`, or until one of them has ended.",
    kind="rate_limit_error",
    retryable=True,
)
BATCHES_FULL = _entry(
    "batches_full",
    429,
    "Wait until some of them have ended, or cancel what you do not need.",
    kind="rate_limit_error",
    retryable=True,
)
BACKGROUND_FULL = _entry(
    "background_full",
    429,
    "Wait until some of them have ended, or cancel what you do not need.",
    kind="rate_limit_error",
    retryable=True,
)
RATE_LIMITS = {
    meter: _entry(
        f"{meter}_per_minute_exceeded",
        429,
        "Wait for `Retry-After`; GET /v1/limits lists your limits.",
        kind="rate_limit_error",
        retryable=True,
    )
    for meter in ("requests", "input_tokens", "output_tokens")
}
"""By what was used up."""
WEBSOCKET_CONNECTION_LIMIT = _entry(
    "websocket_connection_limit_reached",
    400,
    "Open a new connection, and send the request there.",
    retryable=True,
)
OVERLOADED = _entry(
    "overloaded",
    503,
    "Wait for `Retry-After` and try again.",
    fault="operator",
    kind="server_error",
    retryable=True,
)
DRAINING = _entry(
    "server_shutting_down",
    503,
    "Try again: another instance, or this one after its restart, will answer.",
    fault="operator",
    kind="server_error",
    retryable=True,
)
STORAGE_UNAVAILABLE = _entry(
    "storage_unavailable",
    503,
    "Wait for `Retry-After`; operators: run `portico doctor` (disk full, database locked?).",
    fault="operator",
    kind="server_error",
    retryable=True,
)

# Money
_QUOTA = "insufficient_quota"
CREDIT_EXHAUSTED = _entry(
    "credit_balance_exhausted", 429, "Add credit to the organisation's balance.", kind=_QUOTA
)
FUNDS_HELD = _entry(
    "funds_held_by_in_flight_requests",
    429,
    "Wait for `Retry-After`: what open requests do not use comes back when they end.",
    kind="rate_limit_error",
    retryable=True,
)
_RAISE = "Wait for the next period, or have the budget raised."
SPEND_LIMITS: dict[str, Entry] = {
    "key": _entry("key_spend_limit_exceeded", 429, _RAISE, kind=_QUOTA),
    "project": _entry("project_spend_limit_exceeded", 429, _RAISE, kind=_QUOTA),
    "organisation": _entry("organization_spend_limit_exceeded", 429, _RAISE, kind=_QUOTA),
}
"""By the scope of the budget that is used up."""
NOT_PRICED = _entry(
    "model_not_priced",
    503,
    "Use another model or tier; operators: `portico price set` gives this one a price.",
    fault="operator",
    kind="server_error",
)
TEST_KEY = _entry(
    "test_key_not_charged", 400, "Use a simulated model with this key, or a live key."
)
UNKNOWN_TIER = _entry(
    "unknown_service_tier", 400, "Leave 'service_tier' out, or ask for one that is offered."
)

# Whoever generates
ENGINE_UNAVAILABLE = _entry(
    "engine_unavailable",
    503,
    "Try again shortly; operators: `portico doctor` and the server's log say why.",
    fault="operator",
    kind="server_error",
    retryable=True,
)
UPSTREAM_FAILED = _entry(
    "upstream_failed",
    502,
    "Try again; a failed answer is not charged, whether it had begun or not.",
    fault="upstream",
    kind="server_error",
    retryable=True,
)
UPSTREAM_TIMEOUT = _entry(
    "upstream_timeout",
    504,
    "Try again, with a shorter prompt or `stream: true` for long answers.",
    fault="upstream",
    kind="server_error",
    retryable=True,
)
UPSTREAM_BUSY = _entry(
    "upstream_busy",
    503,
    "Wait for `Retry-After` and try again.",
    fault="upstream",
    kind="server_error",
    retryable=True,
)
SCHEMA_NOT_FOLLOWED = _entry(
    "schema_not_followed",
    502,
    "Try again, say the shape in the prompt too, or choose a model whose engine has a grammar.",
    fault="upstream",
    kind="server_error",
    retryable=True,
)
MODERATION_UNAVAILABLE = _entry(
    "moderation_unavailable",
    503,
    "Try again shortly, or name the model `portico-rules-1`, for which nobody else is asked.",
    fault="upstream",
    kind="server_error",
    retryable=True,
)
UPSTREAM_REFUSED = _entry(
    "upstream_refused",
    400,
    "Change what the engine's words in the message name.",
    says_all=True,
)

INTERNAL = _entry(
    "internal_error",
    500,
    "Try again; tell the operator the request id if it stays.",
    fault="portico",
    kind="server_error",
    retryable=True,
)
