"""The shape of a log line, and the one rule about its content: no key ever gets into it."""

import logging
import re
import sys
from typing import Any, Literal

import structlog

_KEY_SHAPED = re.compile(r"\b(pk_[a-z]+_|sk-|Bearer\s+)[A-Za-z0-9_\-]{8,}")


def redact(text: str) -> str:
    """`text` with everything that looks like a credential cut to its prefix."""
    return _KEY_SHAPED.sub(r"\1[redacted]", text)


def _redact_event(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(level: str, shape: Literal["console", "json"]) -> None:
    """Send structlog's and the standard library's lines to standard error in one shape."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
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
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "uvicorn.error", "alembic", "sqlalchemy"):
        logging.getLogger(chatty).setLevel("WARNING")
