"""The shape of a log line, and the one rule about its content: no key ever gets into it."""

import logging
import re
import sys
from typing import Any, Literal

import structlog

_KEY_SHAPED = re.compile(
    r"(\bpk_[a-z]{2,12}_"  # ours
    r"|\b(?:sk|rk|pplx|xai|gsk|hf|ghp|gho|ghs|glpat|r8|nvapi|AIza|AQ\.|ya29\.|AKIA|ASIA|xox[abprs])"
    r"[-_]?(?=[A-Za-z0-9_\-]{12})"  # providers', payment's, and what else is in a prompt
    r"|\bgithub_pat_"
    r"|\bwhsec_"
    r"|\beyJ(?=[A-Za-z0-9_\-]{8})"  # signed tokens, and whatever else is JSON in base64
    r"|\b(?:Bearer|Basic)\s+"
    r"|(?:api[-_]?key|access[-_]?token|client[-_]?secret|password|passwd|secret)[\"']{0,2}\s{0,2}[=:]\s{0,2}[\"']{0,2}"
    r"|[?&](?:key|token|sig|signature)="
    r"|[a-z]://[^\s:/@]{0,64}:(?=[^\s/@]{1,200}@))"  # a password in an address
    r"(?!\[redacted\])[A-Za-z0-9+/=_.\-%~]{6,}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with everything that looks like a credential cut to its prefix."""
    return _KEY_SHAPED.sub(r"\1[redacted]", text)


class _Cutting(structlog.stdlib.ProcessorFormatter):
    """Last of all, so that whatever is in a line passes: what was said, its arguments however deep
    they lie, and the words of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure(level: str, shape: Literal["console", "json"]) -> None:
    """Send structlog's and the standard library's lines to standard error in one shape."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    final: Any = (
        structlog.processors.JSONRenderer()
        if shape == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Cutting(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                final,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "uvicorn.error", "alembic", "sqlalchemy"):
        logging.getLogger(chatty).setLevel("WARNING")
